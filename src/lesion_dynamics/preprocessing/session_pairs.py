"""Which pairs of a participant's sessions are registered, and which sessions they connect."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.preprocessing.registration import centre_of_mass, start_of_other_session
from lesion_dynamics.preprocessing.rigid_motion import (
    inverse,
    mean_motion,
    typical_displacement_mm,
)
from lesion_dynamics.preprocessing.steps import Steps
from lesion_dynamics.settings.preprocessing import RegistrationSettings

_ALL_PAIRS_UP_TO = 4
"""Sessions of a participant up to which every pair is registered; the time grows with their
square. Of more sessions, each is registered to the sharpest one only, as long as that works."""
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TrueFlair:
    """What registrations look at: everything at its true place."""

    image: Image
    brain: Image


class SessionPairs:
    """Pairs of sessions, by index: the registered ones, and those that could not be.

    found : motion from the first's world to the second's, and how far there and back misses.
    failed : with the reason.
    """

    def __init__(
        self,
        scans: Sequence[PreparedScan],
        seen: Sequence[TrueFlair],
        *,
        settings: RegistrationSettings,
        steps: Steps,
    ) -> None:
        self.found: dict[Pair, tuple[Affine, float]] = {}
        self.failed: dict[Pair, ScanError] = {}
        self._scans, self._seen, self._settings, self._steps = scans, seen, settings, steps

    def connect(self) -> None:
        """Register pairs until all sessions are connected or no untried pair can connect more."""
        count = len(self._scans)
        if count > 1 and not self.found and not self.failed:
            for pair in pairs_to_register(self._scans):
                self._register(pair)
        if len(groups_of(count, self.found)) == 1:
            return
        # A session that does not go with the one in the middle may go with another.
        sharpest = sorted(range(count), key=lambda index: _sharpness_first(self._scans[index]))
        tried = {frozenset(pair) for pair in (*self.found, *self.failed)}
        for pair in itertools.combinations(sharpest, 2):
            together = any(set(pair) <= set(group) for group in groups_of(count, self.found))
            if not together and frozenset(pair) not in tried:
                self._register(pair)

    def refuse(self, failed: Mapping[Pair, ScanError]) -> None:
        """Take pairs for failed that looked registered."""
        for pair, error in failed.items():
            del self.found[pair]
            self.failed[pair] = error

    def why_not(self, index: int, group: Sequence[int], names: Sequence[str]) -> ScanError:
        """Why a session does not belong to a group: both sessions of one pair are named."""
        for pair, error in self.failed.items():
            for own, other in (pair, pair[::-1]):
                if own == index and other in group:
                    where = f"{names[own]} and {names[other]}"
                    return ScanError(error.what, where=where, remedy=error.remedy)
        raise AssertionError("every pair of a session outside and one of the group was tried")

    def _register(self, pair: Pair) -> None:
        first, second = (self._seen[index] for index in pair)
        try:
            self.found[pair] = _motion_between(
                first, second, settings=self._settings, steps=self._steps
            )
        except ScanError as error:
            self.failed[pair] = error


def groups_of(count: int, pairs: Iterable[Pair]) -> list[list[int]]:
    """What pairs connect: the largest group first, of equally large ones the earliest."""
    group_of = list(range(count))
    for i, j in pairs:
        first, second = sorted((group_of[i], group_of[j]))
        group_of = [first if one == second else one for one in group_of]
    groups = [[i for i in range(count) if group_of[i] == one] for one in sorted(set(group_of))]
    return sorted(groups, key=lambda group: (-len(group), group[0]))


def true_flair(scan: PreparedScan) -> TrueFlair:
    """The FLAIR of a scan and its brain, undistorted."""
    brain = scan.flair.at_true_places(scan.brain_mask, interpolation="nearest")
    return TrueFlair(image=scan.flair.undistorted(), brain=brain)


def pairs_to_register(scans: Sequence[PreparedScan]) -> list[Pair]:
    """The pairs that connect all sessions where every one of them can be registered."""
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
    first: TrueFlair, second: TrueFlair, *, settings: RegistrationSettings, steps: Steps
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
    fixed: TrueFlair, moving: TrueFlair, *, settings: RegistrationSettings, steps: Steps
) -> Affine:
    return steps.rigid_registration(
        fixed.image,
        moving.image,
        settings=settings,
        start=start_of_other_session(fixed.brain, moving.brain),
        fixed_brain=fixed.brain,
    )
