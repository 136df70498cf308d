"""The sessions of a participant inform each other: probabilities that agree where nothing changed.

Each session keeps its own native grid and its own answer there, which is never interpolated; the
other sessions' answers are brought to it, once, through the participant's space.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.lesions.temporal_evidence import (
    from_log_odds,
    log_odds,
    shared_log_odds,
    unchanged,
)
from lesion_dynamics.preprocessing.intensity import normalise_intensities
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.preprocessing.transform import resample_through
from lesion_dynamics.settings.preprocessing import IntensitySettings

_POSSIBLE = 0.02
"""Voxels below this probability in every session stay as they are."""
_INSIDE = 0.5


def consistent_probabilities(
    scans: Sequence[PreparedScan], probabilities: Sequence[Image], *, intensity: IntensitySettings
) -> list[Image]:
    """Lesion probabilities in which unchanged tissue shares its evidence; in the scans' order.

    Parameters
    ----------
    scans : aligned sessions of one participant. probabilities : of each, on its native FLAIR
        grid. A single session is returned as it is.
    """
    flairs = [_normalised_flair(scan, intensity) for scan in scans]
    odds = [image.with_voxels(log_odds(image.voxels)) for image in probabilities]
    return [
        _informed(index, scans, probabilities[index], flairs, odds) for index in range(len(scans))
    ]


def _normalised_flair(scan: PreparedScan, intensity: IntensitySettings) -> Image:
    flair, brain = scan.flair.image, scan.brain_mask.voxels > 0
    z = normalise_intensities(flair.voxels.astype(np.float32), brain, settings=intensity)
    return flair.with_voxels(np.where(brain, z, 0).astype(np.float32))


def _informed(
    index: int,
    scans: Sequence[PreparedScan],
    probability: Image,
    flairs: Sequence[Image],
    odds: Sequence[Image],
) -> Image:
    """The probability of one session, informed by the others."""
    scan = scans[index]
    brain = scan.brain_mask.voxels > 0
    elsewhere = [
        (
            _brought(other, odds[number], scan),
            _brought(other, flairs[number], scan),
            _brought(other, _share(other.brain_mask), scan) >= _INSIDE,
        )
        for number, other in enumerate(scans)
        if number != index
    ]
    highest = np.maximum.reduce([odds[index].voxels, *(values for values, _, _ in elsewhere)])
    limit = log_odds(np.array([_POSSIBLE], dtype=np.float32))[0]
    at = np.flatnonzero((highest > limit) & brain)
    weights = [
        unchanged(
            flairs[index].voxels,
            flair,
            brain & own_brain,
            at,
            voxel_sizes_mm=probability.voxel_sizes_mm,
        )
        for _, flair, own_brain in elsewhere
    ]
    shared = shared_log_odds(
        odds[index].voxels.ravel()[at], [values.ravel()[at] for values, _, _ in elsewhere], weights
    )
    voxels = np.array(probability.voxels, dtype=np.float32).ravel()
    # Where no other session counts the own probability stays to the bit.
    informed = np.sum(weights, axis=0) > 0 if weights else np.zeros(len(at), dtype=bool)
    voxels[at[informed]] = from_log_odds(shared[informed])
    return probability.with_voxels(voxels.reshape(probability.shape))


def _share(mask: Image) -> Image:
    return mask.with_voxels(mask.voxels.astype(np.float32))


def _brought(other: PreparedScan, image: Image, to: PreparedScan) -> NDArray[np.float32]:
    """An image of another session's FLAIR grid on the FLAIR grid of this one."""
    grid = to.brain_mask
    steps = (*to.steps_to_participant, *other.steps_to_image("FLAIR"))
    brought = resample_through(
        image, shape=grid.shape, affine=grid.affine, steps=steps, interpolation="linear"
    )
    return np.asarray(brought.voxels, dtype=np.float32)
