"""One grid in participant space for all sessions of a participant, and scans laid onto it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.preprocessing.transform import resample_through


def participant_grid(
    scans: Sequence[PreparedScan], *, spacing_mm: float, margin_mm: float = 4.0
) -> tuple[tuple[int, int, int], Affine]:
    """An isotropic grid along R, A, S around the brains of all scans, and a margin.

    Returns
    -------
    shape, and (4, 4) voxel indices to participant space (RAS+ mm).
    """
    corners = np.concatenate([_box_corners(scan) for scan in scans])
    low = np.floor((corners.min(axis=0) - margin_mm) / spacing_mm) * spacing_mm
    size = np.ceil((corners.max(axis=0) + margin_mm - low) / spacing_mm).astype(int) + 1
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = low
    return (int(size[0]), int(size[1]), int(size[2])), affine


def flair_and_brain(
    scan: PreparedScan, *, shape: tuple[int, int, int], affine: Affine
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The FLAIR and the brain mask of a scan on a grid in participant space."""
    brain = scan.brain_mask
    share = on_participant_grid(
        scan, brain.with_voxels(brain.voxels.astype(np.float32)), shape=shape, affine=affine
    )
    flair = on_participant_grid(scan, scan.sequences["FLAIR"].image, shape=shape, affine=affine)
    return flair, share >= 0.5


def on_participant_grid(
    scan: PreparedScan, image: Image, *, shape: tuple[int, int, int], affine: Affine
) -> NDArray[np.float32]:
    """An image of the scan's native FLAIR world on a grid in participant space, linear."""
    steps = scan.steps_to_image("FLAIR")
    laid = resample_through(image, shape=shape, affine=affine, steps=steps, interpolation="linear")
    return np.asarray(laid.voxels, dtype=np.float32)


def _box_corners(scan: PreparedScan) -> NDArray[np.float64]:
    """(8, 3) corners of the brain's box, in participant space."""
    inside = scan.brain_mask.voxels > 0
    ends = []
    for axis in range(3):
        filled = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        ends.append((float(filled[0]), float(filled[-1])))
    corners = np.array([[*corner, 1.0] for corner in itertools.product(*ends)])
    world = corners @ (scan.to_participant @ scan.brain_mask.affine).T
    return np.asarray(world[:, :3], dtype=np.float64)
