"""How noisy an image is, from the image alone. Formulas only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.quality.samples import at_most

_NORMAL_MAD = 1.4826
"""Standard deviation over median absolute value, of a centred normal distribution."""

_KERNEL_NORM = 6.0
"""Root of the sum of squares of Immerkaer's mask."""


def noise_standard_deviation(
    voxels: NDArray[np.float32], brain: NDArray[np.bool_], *, plane: tuple[int, int]
) -> float:
    """Standard deviation of the noise, in units of the image; NaN where the brain is too thin.

    Every slice is filtered with Immerkaer's mask (the difference of two Laplacians, which is
    blind to constant, linear and quadratic structure); the median absolute response inside the
    brain, rather than its mean, keeps most edges out (where a fifth of the voxels lies at edges,
    a quarter too much is found). Interpolated images have correlated noise and
    come out lower.

    Immerkaer 1996, doi 10.1006/cviu.1996.0060.

    Parameters
    ----------
    voxels, brain : (x, y, z).
    plane : the two axes of the slices, those with the smallest voxel edges.
    """
    response, inside = voxels, brain
    for axis in plane:
        before, at, after = (_part(axis, start) for start in range(3))
        response = response[before] - 2 * response[at] + response[after]
        inside = inside[before] & inside[at] & inside[after]
    values = at_most(response[inside])
    if values.size == 0:
        return float("nan")
    return _NORMAL_MAD * float(np.median(np.abs(values))) / _KERNEL_NORM


def slice_plane(voxel_sizes_mm: tuple[float, float, float]) -> tuple[int, int]:
    """The two axes with the smallest voxel edges, in order; of equal edges the first ones."""
    order = sorted(range(3), key=lambda axis: (round(voxel_sizes_mm[axis], 3), axis))
    first, second = sorted(order[:2])
    return first, second


def _part(axis: int, start: int) -> tuple[slice, ...]:
    """All but two entries of an axis, from ``start`` on."""
    last = start - 2 or None
    return tuple(slice(start, last) if a == axis else slice(None) for a in range(3))
