"""Who was scanned, when, and with which diagnosis; who is left out, and why."""
