"""Public datasets in their upstream layouts, turned into manifests that point at their files."""
