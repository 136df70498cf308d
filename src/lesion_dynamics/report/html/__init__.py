"""Self-contained pages: the report of a model version, and the comparison of all of them."""
