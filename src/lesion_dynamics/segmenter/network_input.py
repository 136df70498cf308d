"""From a prepared scan to the arrays a network sees, and back to the native FLAIR grid.

Arrays only, no torch. Training, validation and inference all pass through here, so they
cannot differ.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.lesions.box import box_around
from lesion_dynamics.preprocessing.intensity import normalise_intensities
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.preprocessing.transform import moved, resample_through
from lesion_dynamics.settings.segmenter import SegmenterSettings

BACKGROUND_Z = -4.0
"""Outside the brain, and the lowest intensity inside it, in normalised (z) units."""

BRIGHTEST_Z = 8.0
"""Vessels and artefacts above this are cut; lesions lie between 1 and 4."""

MISSING_SEQUENCE_Z = 0.0
"""The channel of a sequence that the scan lacks, everywhere."""

_MARGIN_MM = 4.0


@dataclass(frozen=True, slots=True)
class NetworkInput:
    """A scan on the network's grid.

    channels : (sequences, x, y, z) float32, z units between -4 and 8.
    brain_mask : (x, y, z) bool.
    affine : (4, 4) voxel indices to participant-space RAS+ mm; axes along R, A, S.
    """

    channels: NDArray[np.float32]
    brain_mask: NDArray[np.bool_]
    affine: Affine


def network_input(prepared: PreparedScan, settings: SegmenterSettings) -> NetworkInput:
    """Resample a prepared scan once onto the network's grid and normalise it."""
    shape, affine = network_grid(prepared, spacing_mm=settings.spacing_mm)
    brain = (
        resample_through(
            prepared.brain_mask.with_voxels(prepared.brain_mask.voxels.astype(np.float32)),
            shape=shape,
            affine=affine,
            steps=prepared.steps_to_image("FLAIR"),
            interpolation="linear",
        ).voxels
        >= 0.5
    )
    outside = ~brain
    channels = np.full((len(settings.sequences), *shape), MISSING_SEQUENCE_Z, dtype=np.float32)
    for channel, name in enumerate(settings.sequences):
        sequence = prepared.sequences.get(name)
        if sequence is None:
            continue
        intensities = resample_through(
            sequence.image,
            shape=shape,
            affine=affine,
            steps=prepared.steps_to_image(name),
            interpolation="linear",
        ).voxels
        z = normalise_intensities(intensities, brain, settings=settings.preprocessing.intensity)
        np.clip(z, np.float32(BACKGROUND_Z), np.float32(BRIGHTEST_Z), out=z)
        np.copyto(z, np.float32(BACKGROUND_Z), where=outside)
        channels[channel] = z
    return NetworkInput(channels=channels, brain_mask=np.ascontiguousarray(brain), affine=affine)


def network_grid(
    prepared: PreparedScan, *, spacing_mm: float
) -> tuple[tuple[int, int, int], Affine]:
    """An axis-aligned isotropic grid in participant space around the brain.

    Its voxels fall on those of the FLAIR where that has the same axes and spacing, so such a
    scan is copied and not interpolated.
    """
    mask = prepared.brain_mask
    if prepared.flair.gradient_warp is None:  # an affine map takes boxes to boxes
        ends = [(part.start, part.stop - 1) for part in box_around(mask.voxels > 0)]
        inside = np.array(list(itertools.product(*ends)))
    else:
        inside = np.argwhere(mask.voxels > 0)
    world = mask.affine[:3, :3] @ inside.T + mask.affine[:3, 3:]
    world = moved(world, prepared.steps_to_participant)
    first = world.min(axis=1) - _MARGIN_MM
    last = world.max(axis=1) + _MARGIN_MM
    world_from_voxel = prepared.to_participant @ mask.affine
    lattice = world_from_voxel[:3, 3]
    origin = lattice + np.floor((first - lattice) / spacing_mm + 1e-6) * spacing_mm
    size = np.ceil((last - origin) / spacing_mm).astype(int) + 1
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = origin
    return (int(size[0]), int(size[1]), int(size[2])), affine


def outside_z(channels: NDArray[np.generic]) -> NDArray[np.generic]:
    """What lies beyond the grid, (sequences,): the background of a sequence that is there, and
    the same nothing as everywhere of one that the scan lacks.

    channels : (sequences, x, y, z) of a `NetworkInput`, whose first voxel lies in the margin.
    """
    missing = channels[:, 0, 0, 0] == MISSING_SEQUENCE_Z
    return np.where(missing, MISSING_SEQUENCE_Z, BACKGROUND_Z).astype(channels.dtype)


def on_network_grid(mask: Image, prepared: PreparedScan, given: NetworkInput) -> NDArray[np.uint8]:
    """A mask of the native FLAIR grid on the network's grid, (x, y, z) of 0 and 1."""
    share = resample_through(
        mask.with_voxels(mask.voxels.astype(np.float32)),
        shape=given.brain_mask.shape,
        affine=given.affine,
        steps=prepared.steps_to_image("FLAIR"),
        interpolation="linear",
    )
    return np.ascontiguousarray(share.voxels >= 0.5).view(np.uint8)


def on_native_grid(
    probability: NDArray[np.float32], given: NetworkInput, prepared: PreparedScan
) -> Image:
    """A lesion probability of the network's grid on the native FLAIR grid; 0 off brain."""
    brain = prepared.brain_mask
    native = resample_through(
        Image(voxels=probability, affine=given.affine),
        shape=brain.shape,
        affine=brain.affine,
        steps=prepared.steps_to_participant,
        interpolation="linear",
    )
    # In the memory order of the files, which mask and probability are written in.
    voxels = np.asfortranarray(native.voxels)
    np.clip(voxels, np.float32(0), np.float32(1), out=voxels)
    np.copyto(voxels, np.float32(0), where=np.asfortranarray(brain.voxels) == 0)
    return brain.with_voxels(voxels)
