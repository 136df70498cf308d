"""Lesion volumes from what is stored: masks, or probabilities at another operating point."""
