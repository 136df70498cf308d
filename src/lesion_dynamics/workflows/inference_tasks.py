"""Units of work of an inference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
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
class QualityTask:
    """Where the quality measures of a participant go, and the key of what they come from."""

    path: Path
    key: str


@dataclass(frozen=True, slots=True)
class ParticipantTask:
    """All scans of one participant, as their alignment needs all; those in `due` are redone.

    quality : None where the quality of the scans is measured and unchanged.
    """

    scans: tuple[ScanTask, ...]
    due: frozenset[tuple[str, str]]
    quality: QualityTask | None = None
