"""What a person looks at: figures and readable tables."""
