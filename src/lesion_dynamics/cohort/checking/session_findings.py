"""Doubts about the sessions of a participant: their days, scanners, grids and candidates."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from lesion_dynamics.cohort.checking.evidence import Evidence, Session
from lesion_dynamics.cohort.checking.finding import Finding
from lesion_dynamics.cohort.checking.image_record import ImageRecord

_NUMBERED = re.compile(r"(ses-[a-zA-Z]*)([0-9]+)", re.ASCII)
_LONGEST_DAYS = 36_525
_SHORTEST_MEDIAN_DAYS = 15
_PARTICIPANTS_FOR_A_MEDIAN = 5
_VOXEL_RATIO = 1.5


def session_findings(evidence: Evidence) -> Iterator[Finding]:
    """Findings about the sessions of each participant, and one about all days together."""
    for participant_id, sessions in evidence.sessions.items():
        yield from _days(participant_id, sessions)
        records = evidence.records_of.get(participant_id, [])
        yield from _scanners(participant_id, sessions, records)
        yield from _grids(participant_id, sessions, records)
    yield from _short_days(evidence)


def _days(participant_id: str, sessions: Sequence[Session]) -> Iterator[Finding]:
    for session in sessions:
        if abs(session.days) > _LONGEST_DAYS:
            what = f"day {session.days:g} is more than a hundred years from baseline"
            yield Finding("days-implausible", participant_id, session.session_id, what)
            return
    if sessions[0].days != 0:
        what = f"the first session lies on day {sessions[0].days:g}, not on day 0"
        yield Finding("baseline-not-first", participant_id, sessions[0].session_id, what)
    for before, after in pairwise(sessions):
        if before.days == after.days:
            what = f"on the same day as {before.session_id} (day {after.days:g})"
            yield Finding("days-same", participant_id, after.session_id, what)
        elif _named_after(before.session_id, after.session_id):
            what = (
                f"on day {before.days:g}, before {after.session_id} (day {after.days:g}),"
                " against the order of their names"
            )
            yield Finding("days-out-of-order", participant_id, before.session_id, what)


def _named_after(first: str, second: str) -> bool:
    """Whether ``ses-10`` is compared with ``ses-2``; names without number say no order."""
    found = [_NUMBERED.fullmatch(session_id) for session_id in (first, second)]
    if found[0] is None or found[1] is None or found[0][1] != found[1][1]:
        return False
    return int(found[0][2]) > int(found[1][2])


def _short_days(evidence: Evidence) -> Iterator[Finding]:
    """Everyone's sessions within days of each other: months or years instead of days?"""
    spans = [own[-1].days - own[0].days for own in evidence.sessions.values() if len(own) > 1]
    if len(spans) >= _PARTICIPANTS_FOR_A_MEDIAN and np.median(spans) < _SHORTEST_MEDIAN_DAYS:
        what = (
            f"half of the participants are followed for {np.median(spans):g} days at most:"
            " are these months or years?"
        )
        yield Finding("days-implausible", "", "", what)


def _scanners(
    participant_id: str, sessions: Sequence[Session], records: Sequence[ImageRecord]
) -> Iterator[Finding]:
    """By the tables where they know all scanners, otherwise by the sidecars of the FLAIRs."""
    written = {r.session_id: r.sidecar.scanner for r in records if r.sequence == "FLAIR"}
    tabled = [(session.session_id, session.scanner) for session in sessions]
    if any(scanner is None for _, scanner in tabled):
        tabled = [(session.session_id, written.get(session.session_id)) for session in sessions]
    known = [(session_id, scanner) for session_id, scanner in tabled if scanner is not None]
    changes = [
        (after[0], f"{before[1]} in {before[0]}, {after[1]} in {after[0]}")
        for before, after in pairwise(known)
        if before[1] != after[1]
    ]
    for session_id, what in changes:
        yield Finding("scanner-changes", participant_id, session_id, what)


def _grids(
    participant_id: str, sessions: Sequence[Session], records: Sequence[ImageRecord]
) -> Iterator[Finding]:
    """Voxel sizes and handedness of each sequence against those of the session before."""
    order = {session.session_id: at for at, session in enumerate(sessions)}
    by_sequence: dict[str, list[ImageRecord]] = defaultdict(list)
    for record in sorted(records, key=lambda r: order.get(r.session_id, 0)):
        by_sequence[record.sequence].append(record)
    for sequence, own in by_sequence.items():
        for before, after in pairwise(own):
            if _ratio(before, after) > _VOXEL_RATIO:
                what = f"{sequence}: voxels of {_sizes(before)} mm in {before.session_id}, "
                what += f"{_sizes(after)} mm in {after.session_id}"
                yield Finding(
                    "voxel-sizes-change", participant_id, after.session_id, what, after.path
                )
            if _handedness(before) != _handedness(after):
                what = (
                    f"{sequence}: the voxel axes are left-handed in one of {before.session_id}"
                    f" and {after.session_id}, right-handed in the other"
                )
                yield Finding(
                    "orientation-changes", participant_id, after.session_id, what, after.path
                )


def _ratio(first: ImageRecord, second: ImageRecord) -> float:
    """Largest ratio of edges, the shortest against the shortest and so on."""
    edges = np.array([sorted(first.voxel_sizes_mm), sorted(second.voxel_sizes_mm)])
    ratios = edges[0] / edges[1]
    return float(max(ratios.max(), (1 / ratios).max()))


def _sizes(record: ImageRecord) -> str:
    return " x ".join(f"{size:.3g}" for size in record.voxel_sizes_mm)


def _handedness(record: ImageRecord) -> bool:
    return bool(np.linalg.det(record.header.affine[:3, :3]) > 0)
