"""The sessions of a participant in one unbiased space, in the middle of all of them.

Reuter et al. 2012, doi 10.1016/j.neuroimage.2012.02.084: a space that favours no session.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.preprocessing.drift import residual_maps, stretch_of, taken_out
from lesion_dynamics.preprocessing.prepared_scan import Drift, PreparedScan
from lesion_dynamics.preprocessing.registration import centre_of_mass
from lesion_dynamics.preprocessing.rigid_motion import positions
from lesion_dynamics.preprocessing.session_pairs import (
    Pair,
    SessionPairs,
    TrueFlair,
    groups_of,
    true_flair,
)
from lesion_dynamics.preprocessing.steps import COMPUTED, Steps
from lesion_dynamics.settings.preprocessing import RegistrationSettings


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
    ScanError : a session cannot be registered to the others.
    """
    aligned = []
    for one in align_what_registers(
        scans,
        [f"session {number}" for number in range(1, len(scans) + 1)],
        settings=settings,
        correct_drift=correct_drift,
        steps=steps,
    ):
        if isinstance(one, ScanError):
            raise one
        aligned.append(one)
    return aligned


def align_what_registers(
    scans: Sequence[PreparedScan],
    names: Sequence[str],
    *,
    settings: RegistrationSettings,
    correct_drift: bool = False,
    steps: Steps = COMPUTED,
) -> list[PreparedScan | ScanError]:
    """As `align_sessions`, of the sessions that belong together; for the others, why they do not.

    Sessions that registered pairs connect form a group, directly or by way of other sessions.
    The largest group is aligned as if it were all; of equally large ones, that of the earliest
    session. Every other session gets the error of its registration to one of that group.

    names : of the sessions, for the errors. correct_drift : as in `align_sessions`.

    Returns
    -------
    One a session, in their order; at least one is a scan, unless there is none.

    Raises
    ------
    ScanError : the drift of a group cannot be found, though that of each of its pairs can.
    """
    if not scans:
        return []
    seen = [true_flair(scan) for scan in scans] if len(scans) > 1 else []
    pairs = SessionPairs(scans, seen, settings=settings, steps=steps)
    while True:
        pairs.connect()
        group = groups_of(len(scans), pairs.found)[0]
        try:
            aligned = _aligned(scans, seen, group, pairs.found, correct_drift=correct_drift)
        except _UnbelievableError as error:
            pairs.refuse(error.failed)
            continue
        break
    placed = dict(zip(group, aligned, strict=True))
    return [
        placed[index] if index in placed else pairs.why_not(index, group, names)
        for index in range(len(scans))
    ]


class _UnbelievableError(Exception):
    """Pairs whose rigid motion was found, and between which no believable drift is."""

    def __init__(self, failed: Mapping[Pair, ScanError]) -> None:
        super().__init__()
        self.failed = failed


def _aligned(
    scans: Sequence[PreparedScan],
    seen: Sequence[TrueFlair],
    group: Sequence[int],
    found: Mapping[Pair, tuple[Affine, float]],
    *,
    correct_drift: bool,
) -> list[PreparedScan]:
    """The scans of a group that pairs connect, aligned.

    Raises
    ------
    _UnbelievableError : between some of the pairs. ScanError : between none of them, but
        between all together.
    """
    if len(group) == 1:
        return [replace(scans[group[0]], to_participant=np.eye(4), drift=None)]
    place = {index: number for number, index in enumerate(group)}
    own = {pair: how for pair, how in found.items() if pair[0] in place and pair[1] in place}
    pairs = {(place[i], place[j]): motion for (i, j), (motion, _) in own.items()}
    flairs = [seen[index] for index in group]
    rigid = positions(pairs, len(group))
    centre = np.mean(
        [_placed(centre_of_mass(one.brain), to) for one, to in zip(flairs, rigid, strict=True)],
        axis=0,
    )

    def residuals_of(wanted: Sequence[Pair]) -> list[NDArray[np.float64]]:
        images, brains = [one.image for one in flairs], [one.brain for one in flairs]
        return residual_maps(images, brains, rigid, wanted, centre=centre)

    try:
        residuals = residuals_of(list(pairs))
    except ScanError:
        failed = {}
        for pair in own:
            try:
                residuals_of([(place[pair[0]], place[pair[1]])])
            except ScanError as error:
                failed[pair] = error
        if not failed:
            raise
        raise _UnbelievableError(failed) from None
    aligned = []
    for index, motion, residual in zip(group, rigid, residuals, strict=True):
        to = taken_out(residual, motion, centre=centre) if correct_drift else motion
        drift = Drift(stretch=stretch_of(residual), corrected=correct_drift)
        missed = _median([mm for pair, (_, mm) in own.items() if index in pair])
        aligned.append(
            replace(scans[index], to_participant=to, drift=drift, alignment_inconsistency_mm=missed)
        )
    return aligned


def _placed(point: NDArray[np.float64], motion: Affine) -> NDArray[np.float64]:
    return np.asarray(motion[:3, :3] @ point + motion[:3, 3], dtype=np.float64)


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else math.nan
