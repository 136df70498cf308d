"""Scan pages: what one participant's sessions look like, and the cohort to look through."""
