"""Voxels within a distance of each other, as steps in a flat array.

Lesions are a small part of a head. Looking from their voxels to the neighbours costs less than
dilating the whole array, and the answer is the same.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

AnyNumber = TypeVar("AnyNumber", bound=np.generic)

_ROUNDING = 1e-6


def reach_voxels(distance_mm: float, spacing_mm: tuple[float, float, float]) -> tuple[int, ...]:
    """Along each axis, the voxels that a ball of this radius reaches."""
    return tuple(int(np.floor(distance_mm / edge + _ROUNDING)) for edge in spacing_mm)


def ball_steps(
    distance_mm: float, *, spacing_mm: tuple[float, float, float], shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Steps in the flat (C order) array to all voxels whose centre lies within the distance.

    Nearest first; the first one is 0. The array must be padded by `reach_voxels` for every voxel
    that they are applied to.
    """
    reach = reach_voxels(distance_mm, spacing_mm)
    axes = [np.arange(-size, size + 1) for size in reach]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    squared = ((offsets * np.array(spacing_mm)) ** 2).sum(axis=1)
    kept = squared <= (distance_mm + _ROUNDING) ** 2
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    steps = offsets[kept] @ strides
    nearest_first = np.argsort(squared[kept], kind="stable")
    return np.asarray(steps[nearest_first], dtype=np.int64)


def padded(array: NDArray[AnyNumber], by: tuple[int, ...]) -> NDArray[AnyNumber]:
    """With a border of zeros, contiguous."""
    if not any(by):
        return np.ascontiguousarray(array)
    return np.pad(array, [(width, width) for width in by])
