"""Domain-randomised synthesis: training scans drawn afresh, with every lesion known."""
