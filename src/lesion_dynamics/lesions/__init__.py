"""From a lesion probability to lesions, their volumes, and their agreement with a reference.

Arrays and formulas only: nothing here reads a file or knows a network.
"""
