"""What an importer hands over: scans, change masks, who was left out, and where it all is from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lesion_dynamics.settings.cohort import Prepared

Diagnosis = Literal["MS", "NMOSD"]
Combination = Literal["union", "intersection"]

UNDATED_RULE = (
    "Days: the first session of a participant is day 0 by definition; the days of later sessions"
    " are not published, so they are n/a. They are segmented and can train; the analysis leaves"
    " them out and says so."
)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A public dataset.

    licence, citation : as upstream states them. homepage : where it is to be had.
    layout_sources : where its layout is documented.
    rules : what the importer decided, one sentence each; a reading of ours says so.
    session_alignment : what the published scans need: ``none`` where the sessions of a
        participant already lie in one space.
    """

    name: str
    licence: str
    citation: str
    homepage: str
    layout_sources: tuple[str, ...]
    rules: tuple[str, ...]
    session_alignment: Literal["none", "rigid"]


@dataclass(frozen=True, slots=True)
class ConvertedMask:
    """A reference mask that upstream has in another form; it is written as a new file.

    sources : upstream's files, all on one grid. labels : values that are lesion; None: every
    positive value. combination : how several sources (raters) become one.
    """

    sources: tuple[Path, ...]
    labels: tuple[int, ...] | None = None
    combination: Combination = "union"


@dataclass(frozen=True, slots=True)
class ImportedScan:
    """One scan; ids with their prefixes. days : since the first session; None: not published."""

    participant_id: str
    session_id: str
    images: Mapping[str, Path]
    days: float | None
    prepared: Prepared
    reference_mask: Path | ConvertedMask | None = None
    diagnosis: Diagnosis = "MS"
    age_years: float | None = None
    sex: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeMask:
    """A mask of what changed between two sessions: no reference mask of either."""

    participant_id: str
    start_session_id: str
    end_session_id: str
    path: Path


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A session of upstream that is not in the manifest, and why."""

    participant_id: str
    session_id: str
    reason: str


@dataclass(frozen=True)
class ImportedCohort:
    """Everything of a dataset that a manifest can say, ordered."""

    dataset: Dataset
    scans: tuple[ImportedScan, ...]
    changes: tuple[ChangeMask, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
