"""The masks of a participant's sessions on one grid in the participant's space."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.imaging.geometry import Affine, same_grid
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.lesions.box import box_around
from lesion_dynamics.preprocessing.resampling import resample
from lesion_dynamics.preprocessing.rigid_motion import inverse

_HALF = 0.5
_AROUND_VOXELS = 2
_RIGHT_ANGLES = 1e-6


@dataclass(frozen=True, slots=True)
class TrackingGrid:
    """shape, affine : voxel indices to the participant's space (RAS+ mm). copied : the masks lie
    on it already, and none is interpolated.
    """

    shape: tuple[int, int, int]
    affine: Affine
    copied: bool


def tracking_grid(
    masks: Sequence[Image], places: Sequence[Affine], *, spacing_mm: float
) -> TrackingGrid:
    """The grid that all sessions share, or else an isotropic one around all of them.

    places : (4, 4) of each mask, its world to the participant's space.
    """
    affines = [place @ mask.affine for mask, place in zip(masks, places, strict=True)]
    first = masks[0]
    shared = all(
        same_grid(first.shape, affines[0], mask.shape, affine)
        for mask, affine in zip(masks, affines, strict=True)
    )
    if shared and _at_right_angles(affines[0]):
        return TrackingGrid(first.shape, affines[0], copied=True)
    corners = np.concatenate(
        [
            _corners(affine, [(0.0, size - 1.0) for size in mask.shape])
            for mask, affine in zip(masks, affines, strict=True)
        ]
    )
    low = np.floor(corners.min(axis=0) / spacing_mm) * spacing_mm
    size = np.ceil((corners.max(axis=0) - low) / spacing_mm).astype(int) + 1
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = low
    return TrackingGrid((int(size[0]), int(size[1]), int(size[2])), affine, copied=False)


def on_grid(mask: Image, place: Affine, grid: TrackingGrid) -> NDArray[np.uint8]:
    """A mask on the grid: its share of each voxel, linear, cut at one half. One interpolation.

    Only the box that holds lesions is resampled.
    """
    laid = np.zeros(grid.shape, dtype=np.uint8)
    if grid.copied:
        laid[...] = mask.voxels != 0
        return laid
    if not mask.voxels.any():
        return laid
    cut = _with_border(mask, box_around(mask.voxels != 0))
    ends = [(0.0, size - 1.0) for size in cut.shape]
    index = _corners(np.linalg.inv(grid.affine) @ place @ cut.affine, ends)
    low = np.clip(np.floor(index.min(axis=0)).astype(int), 0, np.array(grid.shape) - 1)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, low + 1, grid.shape)
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    share = resample(
        cut, shape=tuple(int(n) for n in high - low), affine=affine,
        image_from_target=inverse(place), interpolation="linear",
    )  # fmt: skip
    part = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    laid[part] = share.voxels >= _HALF
    return laid


def _with_border(mask: Image, box: tuple[slice, slice, slice]) -> Image:
    """The box with voxels without lesion around it, also beyond the edge of the image."""
    border = [(_AROUND_VOXELS, _AROUND_VOXELS)] * 3
    voxels = np.pad((mask.voxels[box] != 0).astype(np.float32), border)
    affine = mask.affine.copy()
    start = np.array([part.start - _AROUND_VOXELS for part in box], dtype=np.float64)
    affine[:3, 3] += affine[:3, :3] @ start
    return Image(voxels, affine)


def _corners(affine: Affine, ends: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    corners = np.array(list(itertools.product(*ends)))
    return np.asarray(corners @ affine[:3, :3].T + affine[:3, 3], dtype=np.float64)


def _at_right_angles(affine: Affine) -> bool:
    matrix = affine[:3, :3]
    product = matrix.T @ matrix
    apart = np.abs(product - np.diag(np.diag(product))).max()
    return bool(apart <= _RIGHT_ANGLES * np.diag(product).max())
