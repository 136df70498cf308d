"""The tables of a cohort: read from TSV and checked column by column, vectorised.

Missing is ``n/a`` (BIDS) or an empty cell. A table that is wrong anywhere refuses the whole
cohort, naming file, row and cell: a wrong date or diagnosis would be in every later number.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lesion_dynamics.cohort.bids_name import label_of
from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.errors import CohortError

MISSING = ("n/a", "")

OLDEST_IN_BIDS = "89+"  # BIDS: ages over 89 are written so, to protect the oldest
SEX = {"f": "F", "female": "F", "m": "M", "male": "M", "o": None, "other": None}

Rows = list[list[str]]

FileOf = Callable[[str], Path]
"""From a participant_id to the file that holds its row, for messages."""


def read_rows(path: Path, *, required: Sequence[str]) -> tuple[list[str], Rows]:
    """Header and rows of a TSV file (commas where its name ends in .csv), as text.

    Raises
    ------
    CohortError : no such file, not UTF-8, a missing or repeated column, a row of another length.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.reader(file, delimiter=_delimiter(path)) if line]
    except FileNotFoundError:
        raise CohortError(
            f"the table {path.name} is missing",
            where=path,
            remedy=f"Write it, with the columns {', '.join(required)}.",
        ) from None
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise CohortError(
            f"this table cannot be read: {error}",
            where=path,
            remedy="Save it as text in UTF-8, separated by tabs (.tsv) or commas (.csv).",
        ) from error
    header, rows = (lines[0], lines[1:]) if lines else ([], [])
    absent = [name for name in required if name not in header]
    if absent or len(set(header)) < len(header):
        what = f"the column {absent[0]} is missing" if absent else "a column is there twice"
        raise CohortError(
            f"{what} (columns found: {', '.join(header)[:120] or 'none'})",
            where=path,
            remedy=f"The table needs, separated by {_separator(path)}: {', '.join(required)}.",
        )
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise CohortError(
                f"row {number} has {len(row)} cells, the header has {len(header)}",
                where=path,
                remedy=f"Every row needs one cell per column, separated by {_separator(path)}.",
            )
    return header, rows


def _delimiter(path: Path) -> str:
    return "," if path.suffix.lower() == ".csv" else "\t"


def _separator(path: Path) -> str:
    return "commas" if _delimiter(path) == "," else "tabs"


def columns_of(header: list[str], rows: Rows, names: Sequence[str]) -> dict[str, list[str]]:
    """Named columns; one that the table does not have is ``n/a`` throughout."""
    columns = {}
    for name in names:
        if name in header:
            at = header.index(name)
            columns[name] = [row[at].strip() for row in rows]
        else:
            columns[name] = [MISSING[0]] * len(rows)
    return columns


def read_participants(path: Path) -> pd.DataFrame:
    """``participants.tsv`` as :class:`CohortTables.participants`, ordered by participant_id."""
    header, rows = read_rows(path, required=("participant_id", "diagnosis"))
    names = ("participant_id", "diagnosis", "age", "sex", "scanner")
    return participants_table(columns_of(header, rows, names), where=path)


def participants_table(columns: dict[str, list[str]], *, where: Path) -> pd.DataFrame:
    """Check the text of the participants' columns and give them their types.

    Raises
    ------
    CohortError : no row, an id twice or not BIDS, a diagnosis missing or unknown, an age or
        sex that is none.
    """
    table = pd.DataFrame(columns, dtype="str")
    if table.empty:
        raise CohortError(
            "the cohort has no participant", where=where, remedy="Add one row per participant."
        )
    for identifier in table["participant_id"]:
        _require_id(identifier, "sub", where)
    _refuse_duplicates(table, ["participant_id"], lambda _: where)
    for participant_id, diagnosis in zip(table["participant_id"], table["diagnosis"], strict=True):
        if diagnosis not in DIAGNOSES:
            described = "has no diagnosis" if diagnosis in MISSING else f"has {diagnosis!r}"
            raise CohortError(
                f"participant {participant_id} {described}",
                where=where,
                remedy=f"The column diagnosis must say {' or '.join(DIAGNOSES)} for everyone.",
            )
    age = table["age"].replace(OLDEST_IN_BIDS, OLDEST_IN_BIDS.rstrip("+"))
    table["age_years"] = _numbers(age, table["participant_id"], lambda _: where)
    table["sex"] = pd.Series([_sex(s, where) for s in table["sex"]], dtype="str")
    table["scanner"] = table["scanner"].where(~table["scanner"].isin(MISSING))
    table = table[["participant_id", "diagnosis", "age_years", "sex", "scanner"]]
    return table.sort_values("participant_id", ignore_index=True)


def sessions_table(
    columns: dict[str, list[str]], *, file_of: FileOf, undated_allowed: bool = False
) -> pd.DataFrame:
    """Check sessions (participant_id, session_id, days_from_baseline, scanner).

    Ordered by participant and day. Two sessions on one day are possible (a rescan).

    Parameters
    ----------
    file_of : from a participant_id to the file that its sessions stand in, for messages.
    undated_allowed : missing days stay NaN, for layouts that check by themselves that ``n/a``
        was written on purpose. Such a session comes last of its participant.

    Raises
    ------
    CohortError : an id twice or not BIDS, a session without days.
    """
    table = pd.DataFrame(columns, dtype="str")
    first_with = table.drop_duplicates("session_id")
    for who, session in zip(first_with["participant_id"], first_with["session_id"], strict=True):
        _require_id(session, "ses", file_of(who))
    _refuse_duplicates(table, ["participant_id", "session_id"], file_of)
    names = table["participant_id"] + " " + table["session_id"]
    days = _numbers(table["days_from_baseline"], names, file_of)
    for at in np.flatnonzero(days.isna() & (not undated_allowed))[:1]:
        raise CohortError(
            f"session {names.iloc[at]} has no days",
            where=file_of(table["participant_id"].iloc[at]),
            remedy="Give days_from_baseline for every session, or take its row and files out.",
        )
    table["days_from_baseline"] = days
    table["scanner"] = table["scanner"].where(~table["scanner"].isin(MISSING))
    order = ["participant_id", "days_from_baseline", "session_id"]
    columns_out = ["participant_id", "session_id", "days_from_baseline", "scanner"]
    return table[columns_out].sort_values(order, ignore_index=True)


def read_attacks(path: Path, *, participants: pd.DataFrame) -> pd.DataFrame:
    """``phenotype/attacks.tsv``; ``n/a`` days (date unknown) stay NaN, they are never guessed.

    Raises
    ------
    CohortError : an attack twice, days that are no number, a participant nobody knows.
    """
    names = ("participant_id", "attack_id", "days_from_baseline")
    header, rows = read_rows(path, required=names)
    table = pd.DataFrame(columns_of(header, rows, names), dtype="str")
    unknown = table.loc[
        ~table["participant_id"].isin(participants["participant_id"]), "participant_id"
    ]
    if len(unknown):
        raise CohortError(
            f"an attack belongs to {unknown.iloc[0]}, who is no participant of the cohort",
            where=path,
            remedy="Correct the participant_id there or in the table of participants.",
        )
    _refuse_duplicates(table, ["participant_id", "attack_id"], lambda _: path)
    days = table["days_from_baseline"]
    table["days_from_baseline"] = _numbers(days, table["participant_id"], lambda _: path)
    order = ["participant_id", "days_from_baseline"]
    return table[order].sort_values(order, ignore_index=True)


def no_attacks() -> pd.DataFrame:
    """Attack table of a cohort that has no record of attacks."""
    return pd.DataFrame(
        {
            "participant_id": pd.Series([], dtype="str"),
            "days_from_baseline": pd.Series([], dtype="float64"),
        }
    )


def _require_id(identifier: str, entity: str, where: Path) -> None:
    try:
        label_of(identifier, entity)
    except CohortError as error:
        raise CohortError(
            f"{identifier!r} is {error.what}", where=where, remedy="Rename it there and on disk."
        ) from None


def _refuse_duplicates(table: pd.DataFrame, key: list[str], file_of: FileOf) -> None:
    twice = table[table.duplicated(key)]
    if len(twice):
        described = " ".join(str(value) for value in twice.iloc[0][key])
        where = file_of(str(twice.iloc[0]["participant_id"]))
        raise CohortError(f"{described} has two rows", where=where, remedy="Keep one of them.")


def _numbers(text: pd.Series[str], names: pd.Series[str], file_of: FileOf) -> pd.Series[float]:
    """Text to float64; missing is NaN. ``names``: whose number it is, participant first."""
    missing = text.isin(MISSING)
    numbers = pd.to_numeric(text.where(~missing), errors="coerce").astype(np.float64)
    for at in np.flatnonzero(~missing & ~np.isfinite(numbers))[:1]:
        raise CohortError(
            f"{text.name} of {names.iloc[at]} is {text.iloc[at]!r}, not a number",
            where=file_of(names.iloc[at].split()[0]),
            remedy="Write a number with a decimal point, or n/a where it is unknown.",
        )
    return numbers


def _sex(value: str, where: Path) -> str | None:
    if value in MISSING:
        return None
    if value.lower() not in SEX:
        raise CohortError(f"the sex {value!r} is unknown", where=where, remedy="Write F, M or n/a.")
    return SEX[value.lower()]
