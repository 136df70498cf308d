"""Smooth random fields and linear interpolation between lattice nodes.

Only sums, products and comparisons touch large arrays: transcendental functions are not
rounded alike on every processor, and the phantom's bytes must be.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float64]


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int, int], *, nodes: tuple[int, int, int]
) -> Floats:
    """Noise of about unit standard deviation: ``nodes`` normal values, splined to ``shape``."""
    coarse = rng.standard_normal(nodes)
    factors = [size / count for size, count in zip(shape, nodes, strict=True)]
    # 1.5 makes up for most of the variance that interpolation between nodes takes away.
    return np.asarray(1.5 * ndimage.zoom(coarse, factors, order=3, mode="nearest", grid_mode=True))


def upsample_linear(
    coarse: NDArray[np.floating], *, step: int, shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Values at every voxel from values at every ``step``-th voxel, as float32.

    coarse : (..., x, y, z) with at least ``ceil((n - 1) / step) + 1`` nodes for n voxels.
    """
    result = np.asarray(coarse, dtype=np.float32)
    # The last axis first: while the array is small, its strided reads cost little.
    for axis in (-1, -2, -3):
        size = shape[axis]
        position = np.arange(size)
        low = np.minimum(position // step, result.shape[axis] - 2)
        weight_shape = [1] * result.ndim
        weight_shape[axis] = size
        weight = ((position - low * step) / step).astype(np.float32).reshape(weight_shape)
        below = np.take(result, low, axis=axis)
        above = np.take(result, low + 1, axis=axis)
        above -= below
        above *= weight
        above += below
        result = above
    return result


def sample(field: NDArray[np.float32], index: NDArray[np.floating]) -> NDArray[np.float32]:
    """Linear interpolation of ``field`` at voxel coordinates ``index`` (3, n)."""
    values = ndimage.map_coordinates(
        field, index, output=np.float32, order=1, mode="nearest", prefilter=False
    )
    return np.asarray(values)
