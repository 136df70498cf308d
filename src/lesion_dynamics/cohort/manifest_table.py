"""The manifest: one table of scans with their files, for a group without BIDS.

``participant_id`` (sub-X), ``session_id`` (ses-Y), ``diagnosis`` (MS, NMOSD),
``days_from_baseline`` and ``FLAIR`` are needed; ``T1w``, ``T2w``, ``PDw``, ``reference_mask``
(files), ``age``, ``sex``, ``scanner`` and ``skull_stripped``, ``sequences_aligned``,
``bias_corrected`` (true, false) may be there. Empty or ``n/a`` is missing. Files are named
relative to the manifest's folder or absolutely. Days that nobody knows are written ``n/a``; an
empty cell there may have been forgotten and is refused (`cohort.undated` says what becomes of
such scans). A cell that cannot be right refuses the cohort, with its row and column: row 1 is the
first below the header.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lesion_dynamics.cohort import tables
from lesion_dynamics.cohort.bids_name import label_of
from lesion_dynamics.cohort.cohort import DIAGNOSES, SEQUENCES
from lesion_dynamics.errors import CohortError

MASK = "reference_mask"
DAYS = "days_from_baseline"
FILES = (*SEQUENCES, MASK)
FLAGS = ("skull_stripped", "sequences_aligned", "bias_corrected")
NEEDED = ("participant_id", "session_id", "diagnosis", DAYS, "FLAIR")
COLUMNS = (
    *NEEDED,
    *(name for name in FILES if name not in NEEDED),
    "age",
    "sex",
    "scanner",
    *FLAGS,
)

_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One scan of the manifest.

    number : of the row; 1 is the first below the header.
    cells : text of every column of `COLUMNS`; ``n/a`` where it is missing.
    files : the files that the row names, by column; whether they exist was not looked at.
    """

    number: int
    cells: Mapping[str, str]
    files: Mapping[str, Path]

    @property
    def key(self) -> tuple[str, str]:
        """``(participant_id, session_id)``."""
        return (self.cells["participant_id"], self.cells["session_id"])

    @property
    def days(self) -> float:
        """Days from baseline; infinite where they are unknown, so that such rows come last."""
        return math.inf if self.cells[DAYS] in tables.MISSING else float(self.cells[DAYS])

    def flag(self, name: str) -> bool | None:
        """What the row says of one kind of preparation; None: nothing."""
        return _TRUTH.get(self.cells[name].lower())


def read_manifest(path: Path) -> list[ManifestRow]:
    """Rows in the order of the file, each cell checked.

    Raises
    ------
    CohortError : no such table, a column missing or written otherwise, a wrong cell, a scan with
        two rows, a participant with two diagnoses.
    """
    header, found = tables.read_rows(path, required=NEEDED)
    _refuse_other_spellings(header, path)
    columns = tables.columns_of(header, found, COLUMNS)
    rows: list[ManifestRow] = []
    for at in range(len(found)):
        cells = {
            name: tables.MISSING[0]
            if values[at] in tables.MISSING and (name != DAYS or values[at])
            else values[at]
            for name, values in columns.items()
        }
        _check_cells(cells, number=at + 1, where=path)
        files = {n: path.parent / cells[n] for n in FILES if cells[n] not in tables.MISSING}
        rows.append(ManifestRow(at + 1, cells, files))
    _check_between_rows(rows, path)
    return rows


def refused_cell(number: int, column: str, what: str, *, where: Path, remedy: str) -> CohortError:
    """Refusal of one cell, naming its file, row and column."""
    return CohortError(f"row {number}, column {column}: {what}", where=where, remedy=remedy)


def _refuse_other_spellings(header: Sequence[str], path: Path) -> None:
    """``flair`` or ``t1w`` would be passed over in silence."""
    known = {name.lower(): name for name in COLUMNS}
    for name in header:
        meant = known.get(name.strip().lower())
        if meant is not None and name != meant:
            raise CohortError(
                f"the column {name!r} is written {meant}", where=path, remedy="Rename it."
            )


def _check_cells(cells: Mapping[str, str], *, number: int, where: Path) -> None:
    for column, check in _CHECKS.items():
        try:
            check(cells[column])
        except CohortError as error:
            raise refused_cell(
                number, column, error.what, where=where, remedy=error.remedy
            ) from None


def _check_between_rows(rows: Sequence[ManifestRow], path: Path) -> None:
    first: dict[tuple[str, str], ManifestRow] = {}
    diagnosed: dict[str, ManifestRow] = {}
    for row in rows:
        same_scan = first.setdefault(row.key, row)
        if same_scan is not row:
            what = f"{' '.join(row.key)} has row {same_scan.number} already"
            raise refused_cell(
                row.number, "session_id", what, where=path, remedy="Keep one row for each scan."
            )
        before = diagnosed.setdefault(row.key[0], row)
        if before.cells["diagnosis"] != row.cells["diagnosis"]:
            what = (
                f"{row.key[0]} has {row.cells['diagnosis']} here"
                f" and {before.cells['diagnosis']} in row {before.number}"
            )
            raise refused_cell(
                row.number, "diagnosis", what, where=path, remedy="Correct one of the two."
            )


def _is_id(entity: str) -> Callable[[str], None]:
    def check(text: str) -> None:
        try:
            label_of(text, entity)
        except CohortError as error:
            shown = tables.shown(text)
            raise _wrong(f"{shown} is {error.what}", f"Write it as {entity}-01.") from None

    return check


def _is_diagnosis(text: str) -> None:
    if text not in DIAGNOSES:
        described = (
            "there is no diagnosis"
            if text in tables.MISSING
            else f"{tables.shown(text)} is unknown"
        )
        raise _wrong(described, f"Write {' or '.join(DIAGNOSES)}.")


def _is_number(text: str) -> None:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        described = (
            "nothing is given"
            if text in tables.MISSING
            else f"{tables.shown(text)} is not a number"
        )
        raise _wrong(described, "Write a number with a decimal point.")


def _is_day(text: str) -> None:
    if text == "":
        raise _wrong("nothing is given", "Write days since the first session, n/a if unknown.")
    if text != tables.MISSING[0]:
        _is_number(text)


def _is_age(text: str) -> None:
    if text not in (*tables.MISSING, tables.OLDEST_IN_BIDS):
        _is_number(text)


def _is_sex(text: str) -> None:
    if text not in tables.MISSING and text.lower() not in tables.SEX:
        raise _wrong(f"the sex {tables.shown(text)} is unknown", "Write F, M or n/a.")


def _is_flag(text: str) -> None:
    if text not in tables.MISSING and text.lower() not in _TRUTH:
        raise _wrong(f"{tables.shown(text)} is unknown", "Write true, false or n/a.")


def _wrong(what: str, remedy: str) -> CohortError:
    return CohortError(what, where="", remedy=remedy)


_CHECKS: Mapping[str, Callable[[str], None]] = {
    "participant_id": _is_id("sub"),
    "session_id": _is_id("ses"),
    "diagnosis": _is_diagnosis,
    DAYS: _is_day,
    "age": _is_age,
    "sex": _is_sex,
    **dict.fromkeys(FLAGS, _is_flag),
}
