"""The sessions of a participant in one unbiased space: rigid, in the middle of all of them.

Reuter et al. 2012, doi 10.1016/j.neuroimage.2012.02.084: a space that favours no session.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.preprocessing.registration import centre_of_mass, start_of_other_session
from lesion_dynamics.preprocessing.rigid_motion import (
    inverse,
    mean_motion,
    positions,
    typical_displacement_mm,
)
from lesion_dynamics.preprocessing.steps import COMPUTED, Steps
from lesion_dynamics.settings.preprocessing import RegistrationSettings

_ALL_PAIRS_UP_TO = 4
"""Sessions of a participant up to which every pair is registered; the time grows with their
square. Of more sessions, each is registered to the sharpest one only."""


def align_sessions(
    scans: Sequence[PreparedScan], *, settings: RegistrationSettings, steps: Steps = COMPUTED
) -> list[PreparedScan]:
    """The same scans with `to_participant` and the inconsistency set, in the order given.

    Pairs of FLAIRs are registered in both directions and the two answers are averaged, so the
    order of the sessions does not matter. The participant's space is the mean of all sessions'
    positions (for two: halfway). A single session stays where it is.

    Raises
    ------
    ScanError : two sessions cannot be registered.
    """
    found = {
        (i, j): _motion_between(scans[i], scans[j], settings=settings, steps=steps)
        for i, j in _pairs_to_register(scans)
    }
    pairs = {pair: motion for pair, (motion, _) in found.items()}
    return [
        replace(
            scan,
            to_participant=position,
            alignment_inconsistency_mm=_median([mm for ij, (_, mm) in found.items() if i in ij]),
        )
        for i, (scan, position) in enumerate(zip(scans, positions(pairs, len(scans)), strict=True))
    ]


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else math.nan


def _pairs_to_register(scans: Sequence[PreparedScan]) -> list[tuple[int, int]]:
    if len(scans) <= _ALL_PAIRS_UP_TO:
        return list(itertools.combinations(range(len(scans)), 2))
    hub = min(range(len(scans)), key=lambda index: _sharpness_first(scans[index]))
    return [(hub, index) for index in range(len(scans)) if index != hub]


def _sharpness_first(scan: PreparedScan) -> tuple[float, str]:
    """Sorts the FLAIR with the smallest voxels first; equal ones by content, not by order."""
    flair = scan.sequences["FLAIR"].image
    content = hashlib.sha256(np.ascontiguousarray(flair.voxels).tobytes()).hexdigest()
    return (round(flair.voxel_volume_mm3, 3), content)


def _motion_between(
    first: PreparedScan, second: PreparedScan, *, settings: RegistrationSettings, steps: Steps
) -> tuple[Affine, float]:
    """The first FLAIR's world to the second's: the mean of both directions' answers.

    Also how far there and back misses the start, in mm.
    """
    forward = _one_direction(first, second, settings=settings, steps=steps)
    backward = _one_direction(second, first, settings=settings, steps=steps)
    centre = centre_of_mass(first.brain_mask)
    missed = typical_displacement_mm(backward @ forward, centre=centre)
    return mean_motion([forward, inverse(backward)]), missed


def _one_direction(
    fixed: PreparedScan, moving: PreparedScan, *, settings: RegistrationSettings, steps: Steps
) -> Affine:
    return steps.rigid_registration(
        fixed.sequences["FLAIR"].image,
        moving.sequences["FLAIR"].image,
        settings=settings,
        start=start_of_other_session(fixed.brain_mask, moving.brain_mask),
        fixed_brain=fixed.brain_mask,
    )
