"""Quality control: measures of a prepared scan, each a formula with its unit, and their flags."""
