"""What the image lacks: slices, and parts of the brain. Formulas only."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.quality.samples import at_most

_COPY_OF_TYPICAL = 0.2
_SAMPLES_A_SLICE = 500
_FEWEST_SAMPLES = 50
_FEWEST_PAIRS = 5
_SAME_EDGE = 1.01
_SPECKS_OF_LARGEST = 0.01


def missing_slices(
    voxels: NDArray[np.float32],
    brain: NDArray[np.bool_],
    *,
    voxel_sizes_mm: tuple[float, float, float],
) -> int:
    """Slices between the first and the last with signal that are constant or repeat another.

    Slices lie across the longest voxel edge; of equal edges the axis with most counts. A slice
    repeats the one before it when the median absolute deviation of their difference inside the
    brain is under a fifth of what is typical between neighbours (not zero: a bias field may have
    been divided out since).
    """
    longest = max(voxel_sizes_mm)
    axes = [axis for axis in range(3) if voxel_sizes_mm[axis] * _SAME_EDGE >= longest]
    return max(
        _missing_along(np.moveaxis(voxels, axis, 0), np.moveaxis(brain, axis, 0)) for axis in axes
    )


def brain_at_edge_mm2(
    brain: NDArray[np.bool_], *, voxel_sizes_mm: tuple[float, float, float]
) -> float:
    """Area of the brain mask on the six faces of the image: where the field of view cuts it."""
    total = 0.0
    volume = float(np.prod(voxel_sizes_mm))
    for axis, edge in enumerate(voxel_sizes_mm):
        for end in (0, -1):
            total += int(np.take(brain, end, axis=axis).sum()) * volume / edge
    return total


def _missing_along(slices: NDArray[np.float32], brain: NDArray[np.bool_]) -> int:
    area = np.array([int((one != one[0, 0]).sum()) for one in slices])
    # Specks that brain extraction left far from the brain are no signal.
    with_signal = np.flatnonzero(area >= _SPECKS_OF_LARGEST * max(int(area.max()), 1))
    if with_signal.size == 0:
        return 0
    first, last = int(with_signal[0]), int(with_signal[-1])
    filled = first + np.flatnonzero(area[first : last + 1])
    return last + 1 - first - filled.size + _copies(slices, brain, filled)


def _copies(slices: NDArray[np.float32], brain: NDArray[np.bool_], filled: NDArray[np.int_]) -> int:
    changes = []
    for before, after in itertools.pairwise(filled):
        places = at_most(np.flatnonzero(brain[before] & brain[after]), _SAMPLES_A_SLICE)
        if places.size >= _FEWEST_SAMPLES:
            rows, columns = np.unravel_index(places, brain.shape[1:])
            difference = slices[after][rows, columns] - slices[before][rows, columns]
            changes.append(float(np.median(np.abs(difference - np.median(difference)))))
    if len(changes) < _FEWEST_PAIRS:
        return 0
    return int((np.array(changes) < _COPY_OF_TYPICAL * float(np.median(changes))).sum())
