"""A table of volumes with bad rows: the rows are refused by name, the rest is analysed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lesion_dynamics.longitudinal.measurements import (
    COLUMNS,
    FAILED,
    KEY,
    MEASURED,
    REQUIRED,
    TEXT_COLUMNS,
    check_measurements,
    not_numbers,
    row_rules,
    table_at,
)
from lesion_dynamics.longitudinal.same_scans import SCAN

NUMBERS = tuple(column for column in COLUMNS if column not in TEXT_COLUMNS)


@dataclass(frozen=True)
class Refusal:
    """A row that was not used: whose, in which file, and why."""

    row: str
    where: Path
    what: str

    def __str__(self) -> str:
        return f"{self.row}: {self.what}"


def read_usable_rows(
    path: Path, sessions: pd.DataFrame
) -> tuple[pd.DataFrame | None, list[Refusal]]:
    """Read a table of volumes; a bad row becomes a failed scan that says what was wrong.

    Parameters
    ----------
    sessions : participant_id, session_id of the cohort; other scans are dropped.

    Returns
    -------
    The checked table (None: not a row can be used) and the refusals. A scan that is listed twice
    is refused altogether: nothing says which of the rows is right.

    Raises
    ------
    MeasurementsError : no such file, not a table, a missing column.
    """
    raw = table_at(path)
    if raw.empty or any(column not in raw for column in REQUIRED):
        return check_measurements(raw, where=path), []  # raises, with the reason
    status_given = "status" in raw
    table = raw.reindex(columns=COLUMNS).astype(object)
    table["status"] = table["status"] if status_given else MEASURED
    table["reason"] = table["reason"].fillna("")
    why = pd.Series("", index=table.index)

    def mark(bad: pd.Series[bool], what: str) -> None:
        why[bad & (why == "")] = what

    for column in KEY:
        mark(table[column].isna(), f"{column} is missing")
    for column in NUMBERS:
        mark(not_numbers(table[column]), f"{column} is not a number ({{{column}}})")
        table[column] = pd.to_numeric(table[column], errors="coerce")
    for bad, what, _ in row_rules(table):
        mark(bad, what)
    mark(table.duplicated(KEY, keep=False), "listed more than once for the same model version")
    known = pd.MultiIndex.from_frame(sessions[SCAN])
    mark(~table["participant_id"].isin(sessions["participant_id"]), "no such participant")
    there = pd.MultiIndex.from_frame(table[SCAN]).isin(known)
    mark(pd.Series(~there, index=table.index), "no such session")
    refusals = [
        Refusal(_name(row), path, what.format_map(given.to_dict()))
        for (_, row), (_, given), what in zip(table.iterrows(), raw.iterrows(), why, strict=True)
        if what
    ]
    return _usable(table, why, there, path), refusals


def _usable(
    table: pd.DataFrame, why: pd.Series[str], there: np.ndarray[tuple[int], np.dtype[np.bool_]],
    path: Path,
) -> pd.DataFrame | None:  # fmt: skip
    bad = why != ""
    if bad.all():
        return None
    table.loc[bad, list(NUMBERS)] = np.nan
    table.loc[bad, "status"] = FAILED
    table.loc[bad, "reason"] = "refused: " + why[bad].str.replace(r" \(\{.*", "", regex=True)
    named = table[list(KEY)].notna().all(axis=1).to_numpy(dtype=bool) & there
    kept = table[named].drop_duplicates(KEY)
    return check_measurements(kept, where=path)


def _name(row: pd.Series) -> str:
    given = [str(row[column]) for column in KEY[1:] if pd.notna(row[column])]
    version = f" ({row[KEY[0]]})" if pd.notna(row[KEY[0]]) else ""
    return (" ".join(given) or "a row without participant") + version
