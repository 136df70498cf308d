"""Intensities in units that scanners agree on, robust to lesions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.settings.preprocessing import IntensitySettings


def normalise_intensities(
    voxels: NDArray[np.float32], brain: NDArray[np.bool_], *, settings: IntensitySettings
) -> NDArray[np.float32]:
    """``(x - centre) / scale`` from percentiles inside the brain.

    The centre is the median; the scale is half the distance between two percentiles, divided by
    the same distance of the standard normal distribution, so that Gaussian intensities get unit
    variance. Lesions are a few percent of the brain and bright; percentiles well inside the
    distribution hardly see them.

    voxels, brain : (x, y, z). Returns float32 of the same shape; zeros where brain is empty.
    """
    inside = voxels[brain]
    if inside.size == 0:
        return np.zeros_like(voxels, dtype=np.float32)
    low, centre, high = np.percentile(
        inside, [settings.lower_percentile, 50.0, settings.upper_percentile]
    )
    scale = max(float(high - low) / settings.standard_normal_distance, 1e-6)
    return ((voxels - np.float32(centre)) / np.float32(scale)).astype(np.float32)
