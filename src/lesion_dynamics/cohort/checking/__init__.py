"""What is doubtful about a cohort: each rule gives findings, none leaves anything out."""
