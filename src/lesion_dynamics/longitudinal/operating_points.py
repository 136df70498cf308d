"""Lesion volumes of the same scans at other operating points: the panel's lines from inference."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lesion_dynamics.errors import MeasurementsError
from lesion_dynamics.longitudinal.measurements import COLUMNS, read_measurements_at
from lesion_dynamics.longitudinal.tidy_tables import write_table

ALTERNATIVES_FILE = "lesion_measurements_alternatives.tsv"
POINT = ["probability_threshold", "minimum_lesion_volume_mm3"]
ABSENT = f"no {ALTERNATIVES_FILE} beside the measurements of this model version"


def read_alternatives(path: Path, measurements: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """From the name of a line to its checked table, one a changed choice.

    Parameters
    ----------
    path : of `ALTERNATIVES_FILE`: the columns of ``lesion_measurements.tsv``, a row a scan and
        operating point.
    measurements : checked table of the same folder; what differs from its operating point names
        the line ("threshold 0.4", "minimum lesion volume 27 mm3").

    Raises
    ------
    MeasurementsError : as `read_measurements`, or a row has no operating point.
    """
    tables = read_measurements_at(path, POINT)
    own = measurements.dropna(subset=POINT).drop_duplicates("model_version")
    declared = {
        str(row["model_version"]): (row[POINT[0]], row[POINT[1]]) for _, row in own.iterrows()
    }
    found: dict[str, list[pd.DataFrame]] = {}
    for (threshold, volume), table in tables.items():
        for version, part in table.groupby("model_version", sort=True):
            at = declared.get(str(version))
            if at is None:
                raise MeasurementsError(
                    f"the measurements beside it have no operating point of {version}",
                    where=path, remedy="Run infer.py again, or remove this file.",
                )  # fmt: skip
            found.setdefault(_line(threshold, volume, at), []).append(part)
    return {
        name: pd.concat(parts, ignore_index=True) for name, parts in sorted(found.items(), key=_key)
    }


def _line(threshold: float, volume: float, declared: tuple[float, float]) -> str:
    parts = []
    if threshold != declared[0] or volume == declared[1]:
        parts.append(f"threshold {threshold:g}")
    if volume != declared[1]:
        parts.append(f"minimum lesion volume {volume:g} mm3")
    return ", ".join(parts)


def _key(item: tuple[str, list[pd.DataFrame]]) -> tuple[bool, float, float]:
    first = item[1][0].iloc[0]
    return "threshold" not in item[0], float(first[POINT[0]]), float(first[POINT[1]])


def write_alternatives(path: Path, rows: Iterable[dict[str, object]]) -> None:
    """Write rows in the columns of ``lesion_measurements.tsv``; no row: no file."""
    table = pd.DataFrame(list(rows))
    if table.empty:
        path.unlink(missing_ok=True)
        return
    # Rows that come back from a sidecar have their keys in another order.
    table = table[[column for column in COLUMNS if column in table]]
    keys = ["participant_id", "session_id", *POINT]
    write_table(path, table.sort_values(keys, ignore_index=True))
