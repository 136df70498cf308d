"""A release made again from its lineage, in a new clone."""
