"""The grid that a participant's sessions are shown on, and images laid onto it for display.

Nothing is measured here: volumes come from the native grids, and what is shown is resampled and
quantised so that a page stays small.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.resampling import resample

_MARGIN_MM = 4.0
_TALLEST_MM = 165.0  # from the crown down; a brain is about 140 mm high, the neck follows
_FOREGROUND = 0.15  # of the 99th percentile: air and the zeros of a stripped skull lie below
_FILLED = 0.01  # of a slice must be foreground for the slice to belong to the head
_MEDIAN_GREY = 90.0
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Placed:
    """An image, and where it lies in participant space: (4, 4), its world to that space, mm."""

    image: Image
    to_participant: Affine


@dataclass(frozen=True, slots=True)
class DisplayGrid:
    """An isotropic grid along R, A, S. affine : (4, 4), indices to participant space, mm."""

    shape: tuple[int, int, int]
    affine: Affine
    spacing_mm: float


def grid_around(
    flairs: Sequence[Placed], lesions: Sequence[Placed], *, spacing_mm: float
) -> DisplayGrid:
    """The box of all heads, cut 165 mm below the crown, and of every lesion whatever its place."""
    heads = np.concatenate([_head_corners(one) for one in flairs])
    low, high = heads.min(axis=0), heads.max(axis=0)
    low[2] = max(low[2], high[2] - _TALLEST_MM)
    found = [_corners(one, one.image.voxels > 0) for one in lesions if one.image.voxels.any()]
    if found:
        corners = np.concatenate(found)
        low = np.minimum(low, corners.min(axis=0))
        high = np.maximum(high, corners.max(axis=0))
    low = np.floor((low - _MARGIN_MM) / spacing_mm) * spacing_mm
    size = np.ceil((high + _MARGIN_MM - low) / spacing_mm).astype(int) + 1
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = low
    return DisplayGrid((int(size[0]), int(size[1]), int(size[2])), affine, spacing_mm)


def grey_on(grid: DisplayGrid, flair: Placed) -> NDArray[np.uint8]:
    """The FLAIR as 0 to 255: its head's median is 90 in every session, air is 0."""
    limit = _foreground_limit(flair.image.voxels)
    median = float(np.median(flair.image.voxels[flair.image.voxels > limit]))
    laid = _laid(grid, flair, flair.image)
    grey = np.where(laid > _HALF * limit, laid * (_MEDIAN_GREY / median), 0.0)
    return np.asarray(np.clip(np.rint(grey), 0, 255), dtype=np.uint8)


def share_on(grid: DisplayGrid, probability: Placed) -> NDArray[np.uint8]:
    """A lesion probability as 0 to 255."""
    laid = _laid(grid, probability, probability.image)
    return np.asarray(np.clip(np.rint(laid * 255.0), 0, 255), dtype=np.uint8)


def mask_on(grid: DisplayGrid, mask: Placed) -> NDArray[np.uint8]:
    """A mask as 0 and 1. No lesion vanishes between the voxels of a coarser grid.

    A voxel is lesion where at least half of it is; of a lesion that has none such, the voxels
    that hold its own voxels' centres are.
    """
    voxels = (mask.image.voxels > 0).astype(np.uint8)
    shown = (_laid(grid, mask, mask.image.with_voxels(voxels)) >= _HALF).astype(np.uint8)
    labels = cc3d.connected_components(voxels, connectivity=26)
    index = np.argwhere(labels > 0)
    if not len(index):
        return shown
    own = labels[tuple(index.T)]
    place = _nearest(grid, mask, index)
    seen = np.unique(own[shown[tuple(place.T)] > 0])
    lost = place[~np.isin(own, seen)]
    shown[tuple(lost.T)] = 1
    return shown


def labels_on(grid: DisplayGrid, labels: Placed) -> NDArray[np.uint8]:
    """A label map, each label by the rule of :func:`mask_on`; where two meet, the higher one."""
    shown = np.zeros(grid.shape, dtype=np.uint8)
    for label in np.unique(labels.image.voxels[labels.image.voxels > 0]):
        own = labels.image.with_voxels((labels.image.voxels == label).astype(np.uint8))
        shown[mask_on(grid, Placed(own, labels.to_participant)) > 0] = int(label)
    return shown


def _laid(grid: DisplayGrid, placed: Placed, image: Image) -> NDArray[np.float32]:
    laid = resample(
        image,
        shape=grid.shape,
        affine=grid.affine,
        image_from_target=np.linalg.inv(placed.to_participant).astype(np.float64),
        interpolation="linear",
    )
    return np.asarray(laid.voxels, dtype=np.float32)


def _nearest(grid: DisplayGrid, placed: Placed, index: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, 3) voxels of the grid that hold the centres of an image's voxels (n, 3)."""
    matrix = np.linalg.inv(grid.affine) @ placed.to_participant @ placed.image.affine
    there = index @ matrix[:3, :3].T + matrix[:3, 3]
    last = np.array(grid.shape) - 1
    return np.clip(np.rint(there), 0, last).astype(np.int64)


def _foreground_limit(voxels: NDArray[np.float32]) -> float:
    return _FOREGROUND * float(np.percentile(voxels, 99))


def _head_corners(flair: Placed) -> NDArray[np.float64]:
    inside = flair.image.voxels > _foreground_limit(flair.image.voxels)
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        empty = inside.mean(axis=others) < _FILLED
        if not empty.all():
            inside[(slice(None),) * axis + (empty,)] = False
    return _corners(flair, inside)


def _corners(placed: Placed, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(8, 3) corners of the box of ``inside``, in participant space."""
    ends = []
    for axis in range(3):
        filled = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        ends.append((float(filled[0]), float(filled[-1])))
    corners = np.array([[*corner, 1.0] for corner in itertools.product(*ends)])
    world = corners @ (placed.to_participant @ placed.image.affine).T
    return np.asarray(world[:, :3], dtype=np.float64)
