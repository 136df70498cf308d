"""What is kept: runs and model versions (MLflow), data state (DVC), derivatives (BIDS).

The only package that imports mlflow.
"""
