"""From images as they were acquired to a prepared scan; every step keeps its transform."""
