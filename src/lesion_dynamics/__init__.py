"""Lesion volume dynamics in MS and NMOSD, from a segmenter that is retrained.

The three commands ``train.py``, ``infer.py`` and ``analyze.py`` at the top of the
repository call :mod:`lesion_dynamics.workflows`.
"""

__version__ = "0.1.0"
