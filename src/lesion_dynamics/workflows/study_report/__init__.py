"""Pages of a finished analysis."""
