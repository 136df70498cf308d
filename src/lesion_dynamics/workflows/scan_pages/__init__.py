"""Pages to look at: from what an inference wrote to a page a participant and one of the cohort."""
