"""From a prepared scan to a lesion probability, and the training of it. torch lives here."""
