"""The sessions of a participant in one unbiased space, in the middle of all of them.

Reuter et al. 2012, doi 10.1016/j.neuroimage.2012.02.084: a space that favours no session.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.drift import residual_maps, stretch_of, taken_out
from lesion_dynamics.preprocessing.prepared_scan import Drift, PreparedScan
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
    scans: Sequence[PreparedScan],
    *,
    settings: RegistrationSettings,
    correct_drift: bool = False,
    steps: Steps = COMPUTED,
) -> list[PreparedScan]:
    """The same scans with `to_participant`, `drift` and the inconsistency set, in their order.

    Pairs of FLAIRs are registered in both directions and the two answers are averaged, so the
    order of the sessions does not matter. The participant's space is the mean of all sessions'
    positions (for two: halfway). A single session stays where it is, and has no drift.

    correct_drift : take the residual scale and shear out of `to_participant`, which is then
        affine; else it is rigid and the drift is only reported.

    Raises
    ------
    ScanError : two sessions cannot be registered.
    """
    if len(scans) < 2:
        return [replace(scan, to_participant=np.eye(4), drift=None) for scan in scans]
    seen = [_true_flair(scan) for scan in scans]
    registered = _pairs_to_register(scans)
    found = {
        (i, j): _motion_between(seen[i], seen[j], settings=settings, steps=steps)
        for i, j in registered
    }
    pairs = {pair: motion for pair, (motion, _) in found.items()}
    rigid = positions(pairs, len(scans))
    centre = np.mean(
        [_placed(centre_of_mass(one.brain), to) for one, to in zip(seen, rigid, strict=True)],
        axis=0,
    )
    residuals = residual_maps(
        [one.image for one in seen],
        [one.brain for one in seen],
        rigid,
        registered,
        centre=centre,
    )
    aligned = []
    for i, (scan, motion, residual) in enumerate(zip(scans, rigid, residuals, strict=True)):
        place = taken_out(residual, motion, centre=centre) if correct_drift else motion
        drift = Drift(stretch=stretch_of(residual), corrected=correct_drift)
        missed = _median([mm for pair, (_, mm) in found.items() if i in pair])
        aligned.append(
            replace(scan, to_participant=place, drift=drift, alignment_inconsistency_mm=missed)
        )
    return aligned


@dataclass(frozen=True, slots=True)
class _TrueFlair:
    """What registrations look at: everything at its true place."""

    image: Image
    brain: Image


def _true_flair(scan: PreparedScan) -> _TrueFlair:
    brain = scan.flair.at_true_places(scan.brain_mask, interpolation="nearest")
    return _TrueFlair(image=scan.flair.undistorted(), brain=brain)


def _placed(point: NDArray[np.float64], motion: Affine) -> NDArray[np.float64]:
    return np.asarray(motion[:3, :3] @ point + motion[:3, 3], dtype=np.float64)


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
    first: _TrueFlair, second: _TrueFlair, *, settings: RegistrationSettings, steps: Steps
) -> tuple[Affine, float]:
    """The first FLAIR's world to the second's: the mean of both directions' answers.

    Also how far there and back misses the start, in mm.
    """
    forward = _one_direction(first, second, settings=settings, steps=steps)
    backward = _one_direction(second, first, settings=settings, steps=steps)
    centre = centre_of_mass(first.brain)
    missed = typical_displacement_mm(backward @ forward, centre=centre)
    return mean_motion([forward, inverse(backward)]), missed


def _one_direction(
    fixed: _TrueFlair, moving: _TrueFlair, *, settings: RegistrationSettings, steps: Steps
) -> Affine:
    return steps.rigid_registration(
        fixed.image,
        moving.image,
        settings=settings,
        start=start_of_other_session(fixed.brain, moving.brain),
        fixed_brain=fixed.brain,
    )
