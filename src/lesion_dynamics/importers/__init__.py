"""Public datasets in their upstream layouts, each turned into a manifest that points at its files."""
