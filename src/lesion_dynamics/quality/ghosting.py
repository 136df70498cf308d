"""Signal in the air beside the head, where motion during the scan puts ghosts. Formulas only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_GRID_MM = 4.0
_HEAD_OF_MEDIAN = 0.2
_CLEARANCE_MM = 12.0
_HEAD_BEYOND_BRAIN = 0.1
_FEWEST_VOXELS = 200


def ghosting_percent(
    voxels: NDArray[np.float32],
    brain: NDArray[np.bool_],
    *,
    voxel_sizes_mm: tuple[float, float, float],
) -> float:
    """Mean signal of the air in the head's shadow, less that of the other air, in percent.

    Ghosts lie along the phase-encoding axis, so beside the head rather than in the corners of
    the image. For each axis: the shadow is the air on lines through the head, the other air is
    on lines that miss it; their means differ by the ghosts' (of a kind with the ghost-to-signal
    ratio of Giannelli et al. 2010, doi 10.1120/jacmp.v11i4.3237). In percent of the brain's
    median; the largest of the three axes. Lower is better.

    The head is what exceeds a fifth of the brain's median, closed and filled; air begins 12 mm
    beyond it.

    Returns
    -------
    NaN for a skull-stripped image (no air is left) or where air is missing on either side.
    """
    steps = [max(1, round(_GRID_MM / edge)) for edge in voxel_sizes_mm]
    sampling = tuple(slice(None, None, step) for step in steps)
    coarse, coarse_brain = voxels[sampling], brain[sampling]
    if not coarse_brain.any():
        return float("nan")
    median = float(np.median(coarse[coarse_brain]))
    bright = coarse > _HEAD_OF_MEDIAN * median
    beyond = int((bright & ~ndimage.binary_dilation(coarse_brain)).sum())
    if not median > 0 or beyond < _HEAD_BEYOND_BRAIN * int(coarse_brain.sum()):
        return float("nan")
    edges = [edge * step for edge, step in zip(voxel_sizes_mm, steps, strict=True)]
    head = _head(bright | coarse_brain)
    away = ndimage.distance_transform_edt(~head, sampling=edges) > _CLEARANCE_MM
    found = []
    for axis in range(3):
        shadow = coarse[away & head.any(axis=axis, keepdims=True)]
        other = coarse[np.broadcast_to(away.all(axis=axis, keepdims=True), head.shape)]
        if min(shadow.size, other.size) >= _FEWEST_VOXELS:
            found.append(float(shadow.mean()) - float(other.mean()))
    return 100.0 * max(found) / median if found else float("nan")


def _head(bright: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, _ = ndimage.label(ndimage.binary_closing(bright))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    filled = ndimage.binary_fill_holes(labels == sizes.argmax())
    return np.asarray(filled, dtype=np.bool_)
