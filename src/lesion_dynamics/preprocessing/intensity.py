"""Intensities in units that scanners agree on, robust to lesions and to how much fluid is seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.settings.preprocessing import IntensitySettings

_MOST_ROUNDS = 20  # two to five are usual
_SMALLEST_SCALE = 1e-6


def normalise_intensities(
    voxels: NDArray[np.float32], brain: NDArray[np.bool_], *, settings: IntensitySettings
) -> NDArray[np.float32]:
    """``(x - centre) / scale`` from percentiles inside the brain.

    The centre is the median; the scale is the distance between two percentiles, divided by the
    same distance of the standard normal distribution, so that Gaussian intensities get unit
    variance. Both are taken again from the voxels within `trim` scales of the centre until they
    stay: fluid, vessels and bright lesions then no longer count, and a brain mask that is a
    little wider gives the same units. The result does not change when the image is multiplied
    by a positive number or shifted.

    voxels, brain : (x, y, z). Returns float32 of the same shape; zeros where brain is empty.
    """
    # Turned as they lie in memory: which value comes first does not matter here.
    inside = voxels.T[brain.T] if voxels.flags.f_contiguous else voxels[brain]
    if inside.size == 0:
        return np.zeros_like(voxels, dtype=np.float32)
    centre, scale = centre_and_scale(inside, settings=settings)
    normalised = np.subtract(voxels, np.float32(centre), dtype=np.float32)
    normalised /= np.float32(scale)
    return normalised


def centre_and_scale(
    values: NDArray[np.float32], *, settings: IntensitySettings
) -> tuple[float, float]:
    """Centre and scale of :func:`normalise_intensities` from a brain's intensities, (n,)."""
    inside = np.sort(values)
    centre, scale = _median_and_scale(inside, settings)
    counted = inside.size
    for _ in range(_MOST_ROUNDS):
        reach = settings.trim * scale
        first, last = np.searchsorted(inside, [centre - reach, centre + reach])
        if last - first in (0, counted):
            break
        counted = last - first
        centre, scale = _median_and_scale(inside[first:last], settings)
    return centre, scale


def _median_and_scale(
    ascending: NDArray[np.float32], settings: IntensitySettings
) -> tuple[float, float]:
    low, centre, high = (
        _percentile(ascending, percent)
        for percent in (settings.lower_percentile, 50.0, settings.upper_percentile)
    )
    scale = (high - low) / settings.standard_normal_distance
    return centre, max(scale, _SMALLEST_SCALE)


def _percentile(ascending: NDArray[np.float32], percent: float) -> float:
    """As `numpy.percentile`, which would sort them once more."""
    place = percent / 100.0 * (ascending.size - 1)
    below = int(place)
    above = min(below + 1, ascending.size - 1)
    low, high = float(ascending[below]), float(ascending[above])
    return low + (high - low) * (place - below)
