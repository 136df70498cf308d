"""New and resolved lesions by overlap alone, where no tracking of lesions has been written."""

from __future__ import annotations

import cc3d
import numpy as np
from numpy.typing import NDArray

STABLE, NEW, ENLARGING, SHRINKING, RESOLVED = 1, 2, 3, 4, 5
"""Labels of a change map (`desc-change_dseg`)."""
LABEL_NAMES = {
    STABLE: "stable",
    NEW: "new",
    ENLARGING: "enlarging",
    SHRINKING: "shrinking",
    RESOLVED: "resolved",
}


def overlap_change(
    before: NDArray[np.uint8], now: NDArray[np.uint8], *, connectivity: int = 26
) -> NDArray[np.uint8]:
    """A change map of two masks (x, y, z) on one grid.

    A lesion of ``now`` that shares no voxel with ``before`` is new, one of ``before`` that shares
    none with ``now`` has resolved, and every other voxel of ``now`` is stable: growth is not
    judged.
    """
    changed = np.where(now > 0, STABLE, 0).astype(np.uint8)
    changed[_apart(now, before, connectivity)] = NEW
    changed[_apart(before, now, connectivity)] = RESOLVED
    return changed


def _apart(
    lesions: NDArray[np.uint8], others: NDArray[np.uint8], connectivity: int
) -> NDArray[np.bool_]:
    labels = cc3d.connected_components((lesions > 0).astype(np.uint8), connectivity=connectivity)
    touched = np.unique(labels[others > 0])
    return np.asarray((labels > 0) & ~np.isin(labels, touched), dtype=np.bool_)
