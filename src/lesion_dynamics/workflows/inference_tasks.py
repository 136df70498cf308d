"""Units of work of an inference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.records.derivatives import ScanOutputs


@dataclass(frozen=True, slots=True)
class ScanTask:
    """One scan to be segmented, and where its outputs go."""

    scan: Scan
    key: str
    input_hashes: Mapping[str, Any]
    outputs: ScanOutputs


@dataclass(frozen=True, slots=True)
class ParticipantTask:
    """All scans of one participant, as their alignment needs all; those in `due` are redone."""

    scans: tuple[ScanTask, ...]
    due: frozenset[tuple[str, str]]
