"""Where outputs come from: written by the workflows, and told as a chain."""
