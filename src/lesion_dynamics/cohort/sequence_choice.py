"""One file for a sequence where a session has several runs or acquisitions of it.

The rule is ``cohort.prefer``: its entries are applied in order, each keeps the best of the
candidates that are left, and the first that leaves one decides. What remains undecided is not
guessed: the scan is left out. Entries:

``plain``
    the name without entities besides participant and session;
``acq-3D`` (any entity and value)
    candidates with it, where there are any;
``no-ce`` (any entity)
    candidates without it, where there are any;
``every_session``
    the acquisition (entities besides ``run``) that most sessions of the participant have, so
    that a participant is compared with itself on one protocol;
``finest``
    the smallest longest voxel edge, then the smallest voxel volume: a 1 mm isotropic image goes
    before 0.5 x 0.5 x 3 mm;
``highest_run``, ``lowest_run``
    the run number; no number counts as 0. A repeated run is mostly repeated for a reason.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lesion_dynamics.cohort.bids_name import ENTITY_ORDER, BidsName
from lesion_dynamics.cohort.cohort import SequenceChoice
from lesion_dynamics.errors import ConfigurationError, ScanError
from lesion_dynamics.imaging.geometry import voxel_sizes_mm, voxel_volume_mm3
from lesion_dynamics.imaging.reading import read_header

Protocol = tuple[tuple[str, str], ...]
"""Entities of a name besides participant, session and run."""

_NO_SCAN_OF_ITS_OWN = {"phase", "real", "imag"}
_ENTRY = re.compile(r"([a-z]+)-([0-9a-zA-Z]+)", re.ASCII)
_SAME_EDGE_MM = 0.01


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that could be the sequence."""

    name: BidsName
    path: Path

    @property
    def protocol(self) -> Protocol:
        """What tells this acquisition from others, in every session alike."""
        entities = self.name.entities.items()
        return tuple((key, value) for key, value in entities if key not in ("sub", "ses", "run"))

    @property
    def run(self) -> int:
        """Run number; 0 where the name has none."""
        value = self.name.entities.get("run", "0")
        return int(value) if value.isdecimal() else 0


Score = Callable[[Candidate], object]
"""Smaller is better; equal is equally good."""


def require_known_preferences(prefer: Sequence[str]) -> None:
    """Check the entries of ``cohort.prefer``.

    Raises
    ------
    ConfigurationError : an entry that is neither a rule nor ``entity-value``.
    """
    for entry in prefer:
        if entry in _RULES:
            continue
        found = _ENTRY.fullmatch(entry)
        entity = found and (found[2] if found[1] == "no" else found[1])
        if entity not in ENTITY_ORDER:
            raise ConfigurationError(
                f"cohort.prefer has the unknown entry {entry!r}",
                where="cohort.prefer",
                remedy=f"Allowed: {', '.join(_RULES)}, ENTITY-VALUE (acq-3D), no-ENTITY (no-ce).",
            )


def possible(candidate: Candidate) -> bool:
    """Whether a file is an image of its own; phase, real and imaginary parts are none."""
    return candidate.name.entities.get("part") not in _NO_SCAN_OF_ITS_OWN


def choose(
    sequence: str,
    candidates: Sequence[Candidate],
    *,
    prefer: Sequence[str],
    sessions_with: Mapping[Protocol, int],
) -> SequenceChoice:
    """Decide between candidates of one session.

    Parameters
    ----------
    candidates : at least one.
    sessions_with : in how many sessions of the participant the sequence was acquired so.

    Raises
    ------
    ScanError : the preferences leave more than one.
    """
    left = sorted(candidates, key=lambda candidate: candidate.name.filename)
    decided_by = "only candidate"
    for entry in prefer:
        if len(left) == 1:
            break
        score = _score(entry, sessions_with)
        scores = [score(candidate) for candidate in left]
        best = min(scores)  # type: ignore[type-var]  # of one rule, so of one type
        kept = [c for c, own in zip(left, scores, strict=True) if own == best]
        decided_by = entry if len(kept) < len(left) else decided_by
        left = kept
    if len(left) > 1:
        listed = ", ".join(candidate.name.filename for candidate in left)
        raise ScanError(
            f"more than one {sequence}, and cohort.prefer does not decide ({listed})",
            where=left[0].path.parent,
            remedy="Name the wanted one in cohort.prefer, for example acq-3D, or keep one file.",
        )
    rejected = tuple(c.path for c in candidates if c is not left[0])
    return SequenceChoice(sequence, left[0].path, tuple(sorted(rejected)), decided_by)


def sessions_with_each(candidates: Sequence[Sequence[Candidate]]) -> Counter[Protocol]:
    """Count the sessions of a participant that have each acquisition of a sequence."""
    return Counter(protocol for own in candidates for protocol in {c.protocol for c in own})


def _score(entry: str, sessions_with: Mapping[Protocol, int]) -> Score:
    if entry == "every_session":
        return lambda candidate: -sessions_with[candidate.protocol]
    if entry in _RULES:
        return _RULES[entry]
    key, _, value = entry.partition("-")
    if key == "no":
        return lambda candidate: value in candidate.name.entities
    return lambda candidate: candidate.name.entities.get(key) != value


def _plain(candidate: Candidate) -> bool:
    return bool(candidate.protocol or candidate.run)


def _voxel_size(candidate: Candidate) -> tuple[float, float]:
    try:
        affine = read_header(candidate.path).affine
    except ScanError:
        return math.inf, math.inf  # worse than every file that can be read
    longest = round(max(voxel_sizes_mm(affine)) / _SAME_EDGE_MM) * _SAME_EDGE_MM
    return longest, round(voxel_volume_mm3(affine), 2)


def _every_session(candidate: Candidate) -> int:
    raise AssertionError(f"{candidate} alone does not say what other sessions have")


_RULES: Mapping[str, Score] = {
    "plain": _plain,
    "every_session": _every_session,
    "finest": _voxel_size,
    "highest_run": lambda candidate: -candidate.run,
    "lowest_run": lambda candidate: candidate.run,
}
