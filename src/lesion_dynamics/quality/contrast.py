"""Contrast between tissues, in units of the noise. Formulas only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BINS = 96
_OUTERMOST_PERCENT = 0.5
"""So many of the darkest and of the brightest voxels take no part in finding the classes."""


def three_classes(intensities: NDArray[np.float32]) -> tuple[float, float]:
    """The two thresholds that part intensities into three classes of least variance.

    Otsu 1979, doi 10.1109/TSMC.1979.4310076: the between-class variance is largest.

    Parameters
    ----------
    intensities : (n,), inside the brain.
    """
    low, high = np.percentile(intensities, [_OUTERMOST_PERCENT, 100.0 - _OUTERMOST_PERCENT])
    if not high > low:
        return float(low), float(high)
    counts, edges = np.histogram(intensities, bins=_BINS, range=(float(low), float(high)))
    middles = (edges[:-1] + edges[1:]) / 2
    weight = np.concatenate([[0.0], np.cumsum(counts)])
    moment = np.concatenate([[0.0], np.cumsum(counts * middles)])

    def between(first: NDArray[np.int_], last: NDArray[np.int_]) -> NDArray[np.float64]:
        mass = weight[last] - weight[first]
        return np.asarray((moment[last] - moment[first]) ** 2 / np.maximum(mass, 1e-9))

    one, two = np.triu_indices(_BINS - 1, k=1)
    one, two = one + 1, two + 1
    zero, end = np.zeros_like(one), np.full_like(one, _BINS)
    best = int((between(zero, one) + between(one, two) + between(two, end)).argmax())
    return float(edges[one[best]]), float(edges[two[best]])


def contrast_to_noise(
    intensities: NDArray[np.float32], *, noise: float, fluid_is_dark: bool
) -> tuple[float, float]:
    """Fluid against the other two classes, and these two against each other; no unit.

    The distance of two classes' medians over the noise's standard deviation (compare Magnotta
    and Friedman 2006, doi 10.1007/s10278-006-0264-x). The classes are those of
    :func:`three_classes`; in T1w and FLAIR fluid is the darkest, in T2w the brightest. The other
    two are grey and white matter.

    Returns
    -------
    (fluid contrast to noise, grey-white contrast to noise); NaN where a class is empty or the
    noise is not above zero.
    """
    nothing = float("nan")
    if not noise > 0 or intensities.size == 0:
        return nothing, nothing
    first, second = three_classes(intensities)
    dark = intensities[intensities < first]
    middle = intensities[(intensities >= first) & (intensities < second)]
    bright = intensities[intensities >= second]
    if min(dark.size, middle.size, bright.size) == 0:
        return nothing, nothing
    fluid, tissues = (dark, (middle, bright)) if fluid_is_dark else (bright, (middle, dark))
    tissue = float(np.median(np.concatenate(tissues)))
    grey_white = abs(float(np.median(tissues[0])) - float(np.median(tissues[1])))
    return abs(tissue - float(np.median(fluid))) / noise, grey_white / noise
