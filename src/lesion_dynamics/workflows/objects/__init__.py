"""Cohorts and outputs in object stores (s3://), through fsspec."""
