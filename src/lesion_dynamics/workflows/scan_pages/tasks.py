"""What the pages are made of: tables read once, one task a participant."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics.cohort.bids_name import BidsName
from lesion_dynamics.cohort.cohort import Cohort, Scan
from lesion_dynamics.errors import CohortError
from lesion_dynamics.longitudinal.measurements import FILE_NAME, read_measurements
from lesion_dynamics.records.derivatives import ScanOutputs
from lesion_dynamics.report.scan_pages.text import number
from lesion_dynamics.workflows.inference_quality import QUALITY_TABLE
from lesion_dynamics.workflows.quality import FOLDER as QUALITY_FOLDER

_INTERVALS_TABLE = "lesion_intervals.tsv"
_CHANGE = {"space": "participant", "desc": "change"}
_TEXT_OF_QUALITY = ("participant_id", "session_id", "scanner", "flag_count", "flags")


@dataclass(frozen=True, slots=True)
class LayerTask:
    """One model version at one session; files that are absent are left out of the page."""

    model_version: str
    lesion_volume_mm3: float
    lesion_count: int | None
    reason: str
    mask: Path
    probability: Path
    change: Path
    sidecar: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """All that may be there."""
        return (self.mask, self.probability, self.change, self.sidecar)


@dataclass(frozen=True, slots=True)
class SessionTask:
    """One session: its FLAIR, what tables say, and every version's layer.

    quality_picture : link from the pages' folder, "" where none has been drawn.
    """

    session_id: str
    days: float
    scanner: str
    flair: Path
    flag_count: int
    flags: str
    figures: Mapping[str, str]
    quality_picture: str
    layers: tuple[LayerTask, ...]


@dataclass(frozen=True, slots=True)
class ParticipantTask:
    """All that a participant's page depends on."""

    cohort: str
    participant_id: str
    diagnosis: str
    facts: tuple[tuple[str, str], ...]
    sessions: tuple[SessionTask, ...]
    attacks: tuple[float, ...] | None
    intervals: tuple[Mapping[str, str], ...]
    remarks: tuple[str, ...]
    previous: str
    next: str


@dataclass(frozen=True, slots=True)
class VersionTables:
    """What one derivatives folder says of the cohort. measured : rows by scan."""

    folder: Path
    label: str
    measured: Mapping[tuple[str, str], Mapping[str, Any]]


def read_version(folder: Path) -> VersionTables:
    """The measurements of one model version.

    Raises
    ------
    CohortError : nothing was segmented there. MeasurementsError : a table that is wrong.
    """
    if not (folder / FILE_NAME).is_file():
        raise CohortError(
            f"there is no {FILE_NAME} here",
            where=folder,
            remedy="Name the folder of one model version, and run infer.py first.",
        )
    table = read_measurements(folder / FILE_NAME)
    rows = {(str(row["participant_id"]), str(row["session_id"])): row for row in _rows(table)}
    return VersionTables(folder, str(table["model_version"].iloc[0]), rows)


def participant_tasks(
    cohort: Cohort, versions: Sequence[VersionTables], *, pages: Path
) -> list[ParticipantTask]:
    """One task for every participant with a scan that the first version has a row for.

    pages : the folder that the pages will lie in.

    Raises
    ------
    CohortError : the cohort is another one.
    """
    first = versions[0]
    quality = _text_table(first.folder / QUALITY_TABLE)
    by_scan = {(row["participant_id"], row["session_id"]): row for row in quality}
    intervals = _text_table(first.folder / _INTERVALS_TABLE)
    wanted = [scan for scan in cohort.scans if scan.key in first.measured]
    if not wanted:
        raise CohortError(
            f"none of its scans belongs to the cohort {cohort.name}",
            where=first.folder,
            remedy="Name the cohort that was segmented, for example cohort=bids cohort.root=...",
        )
    groups = [list(found) for _, found in groupby(wanted, key=lambda scan: scan.participant_id)]
    names = ["", *(group[0].participant_id for group in groups), ""]
    sessions = {
        (str(row["participant_id"]), str(row["session_id"])): row
        for row in _rows(cohort.tables.sessions)
    }
    participants = {str(row["participant_id"]): row for row in _rows(cohort.tables.participants)}
    tasks = []
    for place, group in enumerate(groups, start=1):
        name = names[place]
        views = [_session(scan, sessions.get(scan.key, {}), by_scan, versions) for scan in group]
        views = [replace(one, quality_picture=_picture(name, one, first, pages)) for one in views]
        tasks.append(
            ParticipantTask(
                cohort=cohort.name,
                participant_id=name,
                diagnosis=cohort.diagnosis_of(name),
                facts=_facts(participants[name]),
                sessions=tuple(sorted(views, key=_order)),
                attacks=_attacks(cohort, name),
                intervals=tuple(row for row in intervals if row["participant_id"] == name),
                remarks=_remarks(cohort, name),
                previous=names[place - 1],
                next=names[place + 1],
            )
        )
    return tasks


def _order(session: SessionTask) -> tuple[bool, float, str]:
    unknown = not math.isfinite(session.days)
    return (unknown, 0.0 if unknown else session.days, session.session_id)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def _text_table(path: Path) -> list[dict[str, str]]:
    """Rows as text, as written; none where there is no table."""
    if not path.is_file():
        return []
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    return [{k: str(v) for k, v in row.items()} for row in _rows(table)]


def _session(
    scan: Scan,
    row: Mapping[str, Any],
    quality: Mapping[tuple[str, str], Mapping[str, str]],
    versions: Sequence[VersionTables],
) -> SessionTask:
    said = quality.get(scan.key, {})
    days = row.get("days_from_baseline", math.nan)
    count = said.get("flag_count", "0")
    return SessionTask(
        session_id=scan.session_id,
        days=math.nan if pd.isna(days) else float(days),
        scanner=_text(row.get("scanner")),
        flair=scan.images["FLAIR"],
        flag_count=int(count) if count.isdigit() else 0,
        flags=said.get("flags", ""),
        figures={k: v for k, v in said.items() if k not in _TEXT_OF_QUALITY},
        quality_picture="",
        layers=tuple(_layer(scan, version) for version in versions if scan.key in version.measured),
    )


def _picture(participant_id: str, session: SessionTask, version: VersionTables, pages: Path) -> str:
    name = f"{participant_id}_{session.session_id}_quality.png"
    picture = version.folder / QUALITY_FOLDER / name
    if not picture.is_file():
        return ""
    return Path(os.path.relpath(picture.resolve(), pages.resolve())).as_posix()


def _layer(scan: Scan, version: VersionTables) -> LayerTask:
    row = version.measured[scan.key]
    outputs = ScanOutputs.of(*scan.key, version.folder)
    name = BidsName.of_scan(*scan.key, suffix="FLAIR")
    change = name.having(_CHANGE, suffix="dseg", extension=".nii.gz").path_under(version.folder)
    count = row["lesion_count"]
    volume = row["lesion_volume_mm3"]
    return LayerTask(
        model_version=version.label,
        lesion_volume_mm3=math.nan if pd.isna(volume) else float(volume),
        lesion_count=None if pd.isna(count) else int(count),
        reason=_text(row["reason"]),
        mask=outputs.mask,
        probability=outputs.probability,
        change=change,
        sidecar=outputs.sidecar,
    )


def _facts(row: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    age = row.get("age_years")
    said = {
        "diagnosis": _text(row["diagnosis"]),
        "age": "" if age is None or pd.isna(age) else f"{number(float(age))} years",
        "sex": _text(row.get("sex")),
        "scanner": _text(row.get("scanner")),
    }
    return tuple((name, value) for name, value in said.items() if value)


def _attacks(cohort: Cohort, participant_id: str) -> tuple[float, ...] | None:
    if not cohort.tables.attacks_recorded:
        return None
    table = cohort.tables.attacks
    own = table[table["participant_id"] == participant_id]["days_from_baseline"]
    return tuple(float(value) for value in own)


def _remarks(cohort: Cohort, participant_id: str) -> tuple[str, ...]:
    out = tuple(
        f"Left out: {e.line}" for e in cohort.exclusions if e.participant_id == participant_id
    )
    own = [scan for scan in cohort.scans if scan.participant_id == participant_id]
    return out + tuple(f"{scan.session_id}: {line}" for scan in own for line in scan.remarks)


def _text(value: Any) -> str:
    return "" if value is None or pd.isna(value) else str(value)
