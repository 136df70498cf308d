"""NIfTI images as arrays with a geometry: checked when read, whole when written."""
