"""The part of an image that holds anything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def box_around(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """Smallest box that holds every True voxel of (x, y, z); one corner voxel if there is none."""
    box: list[slice] = []
    for axis in range(3):
        # Only what is left after the axes before: most of a head is no lesion.
        left = mask[tuple(box)]
        present = np.flatnonzero(left.any(axis=tuple(k for k in range(3) if k != axis)))
        box.append(slice(int(present[0]), int(present[-1]) + 1) if len(present) else slice(0, 1))
    return box[0], box[1], box[2]
