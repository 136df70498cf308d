"""Where a group's new labels come from: the model's own masks, corrected where it matters."""
