"""True rescans: what inference measured of the same participants scanned again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.errors import ConfigurationError, MeasurementsError
from lesion_dynamics.longitudinal.measurements import (
    FILE_NAME,
    MEASURED,
    read_measurements,
    table_at,
)
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.settings.repeatability import RepeatabilitySettings
from lesion_dynamics.workflows.repeatability.outputs import Repeated

RESCAN = "rescan"
ALL_SESSIONS = "all"
GROUP = "rescan_group"
_PAIR_COLUMNS = ("participant_id", "session_id", GROUP)


def rescan_differences(
    settings: RepeatabilitySettings, tables: CohortTables, version: ModelVersion, *, folder: Path
) -> Repeated:
    """The volumes of rescans beside the first scan of each.

    folder : of the version's measurements, for rescans declared by session.

    Raises
    ------
    UserError : a table is missing or wrong, of another version, or holds no rescan.
    """
    failures: list[str] = []
    if settings.rescans.folders:
        parts = []
        for index, one in enumerate(settings.rescans.folders):
            table = _measured(one / FILE_NAME, version, failures)
            parts.append(table.assign(order=index, **{GROUP: table["session_id"]}))
        table = pd.concat(parts, ignore_index=True)
        where = ", ".join(str(one) for one in settings.rescans.folders)
        said = f"{len(parts)} folders"
    else:
        table = _measured(folder / FILE_NAME, version, failures)
        groups = _groups(str(settings.rescans.sessions), table)
        table = table.merge(groups, on=["participant_id", "session_id"])
        table = table.sort_values(["participant_id", "session_id"], kind="stable")
        table = table.assign(order=table.groupby(["participant_id", GROUP]).cumcount())
        where, said = str(folder), f"sessions: {Path(str(settings.rescans.sessions)).name}"
    diagnosis = dict(
        zip(tables.participants["participant_id"], tables.participants["diagnosis"], strict=True)
    )
    known = table[table["participant_id"].isin(list(diagnosis))]
    rows = [row for _, own in known.groupby(["participant_id", GROUP]) for row in _pairs(own)]
    if not rows:
        raise MeasurementsError(
            "no scan here has a rescan that was measured",
            where=where,
            remedy="Declare rescans: rescans.sessions=all, a table, or rescans.folders=[A,B].",
        )
    frame = pd.DataFrame(rows)
    frame.insert(2, "diagnosis", frame["participant_id"].map(diagnosis))
    scans = len(frame) + frame.groupby(["participant_id", "session_id"]).ngroups
    source = f"{scans} rescans of cohort {settings.cohort.name} ({said})"
    return Repeated(frame, tuple(failures), source, (RESCAN,))


def _measured(path: Path, version: ModelVersion, failures: list[str]) -> pd.DataFrame:
    table = read_measurements(path)
    others = sorted(set(table["model_version"]) - {version.label})
    if others:
        raise MeasurementsError(
            f"these are volumes of {others[0]} and not of {version.label}",
            where=path,
            remedy="Name folders of the version whose repeatability is measured.",
        )
    failed = table[table["status"] != MEASURED]
    failures += [
        " ".join(str(row[name]) for name in ("participant_id", "session_id", "reason"))
        for row in failed.to_dict("records")
    ]
    return table[table["status"] == MEASURED]


def _groups(declared: str, table: pd.DataFrame) -> pd.DataFrame:
    """participant_id, session_id and the group of rescans that each session belongs to."""
    if declared == ALL_SESSIONS:
        return table[["participant_id", "session_id"]].assign(**{GROUP: ALL_SESSIONS})
    path = Path(declared)
    pairs = table_at(path)
    missing = [column for column in _PAIR_COLUMNS if column not in pairs]
    if missing:
        raise ConfigurationError(
            f"missing column {missing[0]}",
            where=path,
            remedy=f"A table of rescans has the columns {', '.join(_PAIR_COLUMNS)}.",
        )
    pairs = pairs[list(_PAIR_COLUMNS)].dropna()
    twice = pairs[pairs.duplicated(["participant_id", "session_id"])]
    if len(twice):
        raise ConfigurationError(
            f"{' '.join(map(str, twice.iloc[0, :2]))} stands twice",
            where=path,
            remedy="A session belongs to one group of rescans.",
        )
    return pairs


def _pairs(own: pd.DataFrame) -> Iterable[dict[str, Any]]:
    ordered = own.sort_values("order", kind="stable")
    first = ordered.iloc[0]
    for row in ordered.iloc[1:].to_dict("records"):
        yield {
            "participant_id": first["participant_id"],
            "session_id": first["session_id"],
            "perturbation": RESCAN,
            "draw": row["session_id"]
            if row["session_id"] != first["session_id"]
            else str(row["order"]),
            "original_lesion_volume_mm3": float(first["lesion_volume_mm3"]),
            "lesion_volume_mm3": float(row["lesion_volume_mm3"]),
        }
