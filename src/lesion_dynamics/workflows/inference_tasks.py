"""Units of work of an inference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.records.derivatives import ScanOutputs


@dataclass(frozen=True, slots=True)
class SessionsUsed:
    """The sessions of a participant, by name and sorted, that the outputs of one of them rest on.

    aligned : those in whose middle the participant's space lies, the own one among them; none
        where sessions are not aligned. informing : those whose probabilities were shared.
    """

    aligned: tuple[str, ...] = ()
    informing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScanTask:
    """One scan to be segmented, and where its outputs go.

    key, input_hashes : of outputs that rest on every session of the participant.
    done_with : the sessions that the outputs which are there rest on; None where there are none,
        or something else that they depend on has changed.
    """

    scan: Scan
    key: str
    input_hashes: Mapping[str, Any]
    outputs: ScanOutputs
    done_with: SessionsUsed | None = None


@dataclass(frozen=True, slots=True)
class QualityTask:
    """Where the quality measures of a participant go, and the key of what they come from."""

    path: Path
    key: str


@dataclass(frozen=True, slots=True)
class ParticipantTask:
    """All scans of one participant, as their alignment needs all; those in `due` are redone.

    due : empty where nothing is to be segmented. Where something is, the others are redone with
        it if they rest on other sessions than those that can be used now.
    quality : None where the quality of the scans is measured and unchanged.
    """

    scans: tuple[ScanTask, ...]
    due: frozenset[tuple[str, str]]
    quality: QualityTask | None = None
