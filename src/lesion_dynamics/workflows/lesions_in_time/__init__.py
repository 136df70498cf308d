"""Lesions tracked between sessions, and lesion maps of a cohort."""
