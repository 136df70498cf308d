"""The order of calls: training, inference, analysis. No formulas live here."""
