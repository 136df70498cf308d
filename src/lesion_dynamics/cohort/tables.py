"""The tables of a cohort: typed and checked column by column, vectorised.

A table that is wrong anywhere refuses the whole cohort, naming file, row and cell: a wrong date
or diagnosis would be in every later number.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from lesion_dynamics.cohort.bids_name import label_of
from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.cohort.table_text import MISSING as MISSING
from lesion_dynamics.cohort.table_text import Rows as Rows
from lesion_dynamics.cohort.table_text import columns_of as columns_of
from lesion_dynamics.cohort.table_text import read_rows as read_rows
from lesion_dynamics.cohort.table_text import shown as shown
from lesion_dynamics.errors import CohortError

OLDEST_IN_BIDS = "89+"  # BIDS: ages over 89 are written so, to protect the oldest
_DECIMAL_NUMBER = r"[+-]?[0-9]{1,12}(\.[0-9]{0,12})?([eE][+-]?[0-9]{1,2})?"
_YEARS_OF_AGE = (0.0, 120.0)
_DAYS = (-1e5, 1e5)  # a date written as 20210304 is none; doubts below are the check's
_MISSING_ELSEWHERE = {"na", "n.a.", "nan", "null", "none", "-", "?", "."}
SEX = {"f": "F", "female": "F", "m": "M", "male": "M", "o": None, "other": None}

FileOf = Callable[[str], Path]
"""From a participant_id to the file that holds its row, for messages."""


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
    _refuse_case_collisions(table["participant_id"], where)
    _refuse_duplicates(table, ["participant_id"], lambda _: where)
    for participant_id, diagnosis in zip(table["participant_id"], table["diagnosis"], strict=True):
        if diagnosis not in DIAGNOSES:
            described = "has no diagnosis" if diagnosis in MISSING else f"has {shown(diagnosis)}"
            raise CohortError(
                f"participant {participant_id} {described}",
                where=where,
                remedy=f"The column diagnosis must say {' or '.join(DIAGNOSES)} for everyone.",
            )
    age = table["age"].replace(OLDEST_IN_BIDS, OLDEST_IN_BIDS.rstrip("+"))
    table["age_years"] = _numbers(
        age, table["participant_id"], lambda _: where, possible=_YEARS_OF_AGE
    )
    table["sex"] = pd.Series([_sex(s, where) for s in table["sex"]], dtype="str")
    table["scanner"] = _scanners(table, lambda _: where)
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
    days = _numbers(table["days_from_baseline"], names, file_of, possible=_DAYS)
    for at in np.flatnonzero(days.isna() & (not undated_allowed))[:1]:
        raise CohortError(
            f"session {names.iloc[at]} has no days",
            where=file_of(table["participant_id"].iloc[at]),
            remedy="Give days_from_baseline for every session, or take its row and files out.",
        )
    table["days_from_baseline"] = days
    table["scanner"] = _scanners(table, file_of)
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
        who = shown(unknown.iloc[0]).strip("'")
        raise CohortError(
            f"an attack belongs to {who}, who is no participant of the cohort",
            where=path,
            remedy="Correct the participant_id there or in the table of participants.",
        )
    _refuse_duplicates(table, ["participant_id", "attack_id"], lambda _: path)
    days = table["days_from_baseline"]
    table["days_from_baseline"] = _numbers(
        days, table["participant_id"], lambda _: path, possible=_DAYS
    )
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
            f"{shown(identifier)} is {error.what}",
            where=where,
            remedy="Rename it there and on disk.",
        ) from None


def _refuse_duplicates(table: pd.DataFrame, key: list[str], file_of: FileOf) -> None:
    twice = table[table.duplicated(key)]
    if len(twice):
        described = " ".join(str(value) for value in twice.iloc[0][key])
        where = file_of(str(twice.iloc[0]["participant_id"]))
        raise CohortError(f"{described} has two rows", where=where, remedy="Keep one of them.")


def _refuse_case_collisions(identifiers: pd.Series[str], where: Path) -> None:
    """BIDS, "Case collision intolerance": on many disks such folders are one and the same."""
    folded = identifiers.str.casefold()
    twice = identifiers[folded.duplicated(keep=False) & ~identifiers.duplicated(keep=False)]
    if len(twice):
        raise CohortError(
            f"{twice.iloc[0]} and {twice.iloc[1]} differ only in capital letters",
            where=where,
            remedy="Rename one of them, there and on disk.",
        )


def _numbers(
    text: pd.Series[str], names: pd.Series[str], file_of: FileOf, *, possible: tuple[float, float]
) -> pd.Series[float]:
    """Text to float64; missing is NaN.

    names : whose number it is, participant first. possible : lowest and highest.
    """
    missing = text.isin(MISSING)
    plain = text.str.fullmatch(_DECIMAL_NUMBER)
    numbers = pd.to_numeric(text.where(~missing & plain), errors="coerce").astype(np.float64)
    low, high = possible
    for at in np.flatnonzero(~missing & ~numbers.between(low, high))[:1]:
        described = f"{text.name} of {names.iloc[at]} is {shown(text.iloc[at])}"
        if np.isfinite(numbers.iloc[at]):
            what = f"{described}: only {low:g} to {high:g} are possible"
        else:
            what = f"{described}, not a number"
        raise CohortError(
            what,
            where=file_of(names.iloc[at].split()[0]),
            remedy="Write a number with a decimal point, or n/a where it is unknown.",
        )
    return numbers


def _scanners(table: pd.DataFrame, file_of: FileOf) -> pd.Series[str]:
    """Names of scanners; missing where the cell says so, in the one way in which BIDS says it."""
    scanners = table["scanner"]
    for at in np.flatnonzero(scanners.str.casefold().isin(_MISSING_ELSEWHERE))[:1]:
        who = str(table["participant_id"].iloc[at])
        raise CohortError(
            f"the scanner of {who} is {shown(scanners.iloc[at])}",
            where=file_of(who),
            remedy="Write n/a where it is unknown.",
        )
    return scanners.where(~scanners.isin(MISSING))


def _sex(value: str, where: Path) -> str | None:
    if value in MISSING:
        return None
    if value.lower() not in SEX:
        raise CohortError(
            f"the sex {shown(value)} is unknown", where=where, remedy="Write F, M or n/a."
        )
    return SEX[value.lower()]
