"""Geometry of an image grid. Formulas only.

Affines are 4 x 4, voxel indices to millimetres in RAS+ world coordinates (the NIfTI
convention).
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float64]

_SAME_GRID_TOLERANCE_MM = 1e-3


def voxel_volume_mm3(affine: Affine) -> float:
    """Volume of one voxel in mm3: ``|det(affine[:3, :3])|``.

    The determinant, not the product of the zooms: a sheared affine has voxels that are
    smaller than their edges suggest.
    """
    return float(abs(np.linalg.det(np.asarray(affine, dtype=np.float64)[:3, :3])))


def voxel_sizes_mm(affine: Affine) -> tuple[float, float, float]:
    """Lengths of the three voxel edges in mm."""
    lengths = np.sqrt((np.asarray(affine, dtype=np.float64)[:3, :3] ** 2).sum(axis=0))
    return float(lengths[0]), float(lengths[1]), float(lengths[2])


def largest_corner_distance_mm(shape: tuple[int, int, int], first: Affine, second: Affine) -> float:
    """Largest distance in mm between the same corner voxel of one grid under two affines."""
    corners = np.array(
        [(*corner, 1) for corner in itertools.product(*((0, size - 1) for size in shape))],
        dtype=np.float64,
    )
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    displacement = corners @ difference[:3].T
    return float(np.sqrt((displacement**2).sum(axis=1)).max())


def same_grid(
    first_shape: tuple[int, ...],
    first_affine: Affine,
    second_shape: tuple[int, ...],
    second_affine: Affine,
) -> bool:
    """Whether two grids hold the same voxels at the same places (to 0.001 mm)."""
    if first_shape != second_shape or len(first_shape) != 3:
        return False
    shape = (first_shape[0], first_shape[1], first_shape[2])
    return largest_corner_distance_mm(shape, first_affine, second_affine) <= _SAME_GRID_TOLERANCE_MM
