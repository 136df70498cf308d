"""The tables of an inference: one row a scan, and who was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics.atomic_files import replacing, write_json
from lesion_dynamics.cohort.cohort import Cohort, Exclusion
from lesion_dynamics.longitudinal.measurements import (
    FAILED,
    FILE_NAME,
    MEASURED,
    read_measurements,
    write_measurements,
)
from lesion_dynamics.longitudinal.operating_points import ALTERNATIVES_FILE, write_alternatives
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.records.derivatives import write_dataset_description
from lesion_dynamics.workflows.scan_geometry import write_scan_geometry

PARQUET_FROM_ROWS = 10_000


def write_tables(
    folder: Path,
    rows: Mapping[tuple[str, str], Mapping[str, Any]],
    failures: Sequence[Exclusion],
    cohort: Cohort,
    version: ModelVersion,
) -> None:
    """Volumes, volumes at other operating points, geometry and exclusions of a cohort.

    rows : the measured columns of each scan that is done. failures : those that are not; a row
        with a reason each.
    """
    point = version.manifest.operating_point
    shared = {
        "model_version": version.label,
        "weights_sha256": version.manifest.weights_sha256,
        **point.model_dump(mode="json"),
    }
    table = [
        {"participant_id": k[0], "session_id": k[1], **shared, **row} for k, row in rows.items()
    ]
    table += [
        {
            "participant_id": e.participant_id,
            "session_id": e.session_id,
            **shared,
            "status": FAILED,
            "reason": e.explained,
        }
        for e in failures
        if e.session_id is not None  # a participant whose sessions are unknown has no rows
    ]
    frame = pd.DataFrame(table).sort_values(["participant_id", "session_id"], ignore_index=True)
    write_measurements(folder / FILE_NAME, frame.drop(columns="alternatives", errors="ignore"))
    _write_parquet(folder)
    write_alternatives(
        folder / ALTERNATIVES_FILE,
        (
            {"participant_id": k[0], "session_id": k[1], **shared, "status": MEASURED, **own}
            for k, row in rows.items()
            for own in row["alternatives"]
        ),
    )
    write_scan_geometry(folder, rows)
    write_dataset_description(folder, cohort=cohort.name, version=version)
    left_out = (*cohort.exclusions, *(f for f in failures if f not in cohort.exclusions))
    write_json(folder / "exclusions.json", [_said(exclusion) for exclusion in left_out])


def _said(exclusion: Exclusion) -> dict[str, str | None]:
    return {
        "participant_id": exclusion.participant_id,
        "session_id": exclusion.session_id,
        "reason": exclusion.reason,
        "remedy": exclusion.remedy,
    }


def _write_parquet(folder: Path) -> None:
    """Beside a long table the same as parquet, which opens in a fraction of the time."""
    table = read_measurements(folder / FILE_NAME)
    path = (folder / FILE_NAME).with_suffix(".parquet")
    if len(table) < PARQUET_FROM_ROWS:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)
