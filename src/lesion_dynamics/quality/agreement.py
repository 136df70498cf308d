"""How well the sessions of a participant lie on each other. Formulas only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """``2 |A and B| / (|A| + |B|)``; 1: the same, 0: apart. NaN where both are empty.

    Dice 1945, doi 10.2307/1932409.
    """
    together = int(first.sum()) + int(second.sum())
    return 2.0 * int((first & second).sum()) / together if together else float("nan")


def residual_z(
    first: NDArray[np.float32], second: NDArray[np.float32], brain: NDArray[np.bool_]
) -> float:
    """Median absolute difference of two normalised images inside both brains, less their rim.

    In units of the normalisation (z). Median: lesions that came or went do not count.
    Zero only for the same image; misalignment, noise and another contrast raise it.
    """
    inside = ndimage.binary_erosion(brain)
    if not inside.any():
        return float("nan")
    return float(np.median(np.abs(first[inside] - second[inside])))
