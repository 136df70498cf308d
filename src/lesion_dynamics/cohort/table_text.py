"""Tables as text: header and cells of a table, before anything is known about its columns.

Missing is ``n/a`` (BIDS) or an empty cell.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from lesion_dynamics.errors import CohortError
from lesion_dynamics.input_files import first_bytes

MISSING = ("n/a", "")

Rows = list[list[str]]

_LARGEST_TABLE_BYTES = 256 * 2**20
_LONGEST_SHOWN = 60
_AS_UTF8 = "Save it as text in UTF-8, separated by tabs (.tsv) or commas (.csv)."


def read_rows(path: Path, *, required: Sequence[str]) -> tuple[list[str], Rows]:
    """Header and rows of a TSV file (commas where its name ends in .csv), as text.

    Blanks around a cell are taken off.

    Raises
    ------
    CohortError : no such file, not UTF-8, a missing or repeated column, a row of another
        length, a cell with a line break or another control character in it.
    """
    lines = _lines(path, required)
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
        for cell in row:
            if not cell.isprintable():
                raise CohortError(
                    f"row {number} has a line break or control character in {shown(cell)}",
                    where=path,
                    remedy="Take it out (a quotation mark without its partner does this too).",
                )
    return header, rows


def _lines(path: Path, required: Sequence[str]) -> Rows:
    needed = f"Write it, with the columns {', '.join(required)}."
    absent = f"the table {path.name} is missing"
    start = first_bytes(path, 64, refusal=CohortError, restore=needed, missing=absent)
    size = path.stat().st_size
    if size > _LARGEST_TABLE_BYTES:
        raise CohortError(
            f"this table has {size / 1e6:.0f} MB: no table of a cohort is that large",
            where=path,
            remedy=needed,
        )
    if b"\0" in start:
        raise CohortError(
            "this table cannot be read: it is not UTF-8 (UTF-16?)", where=path, remedy=_AS_UTF8
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=_delimiter(path), strict=True)
            return [[cell.strip() for cell in line] for line in reader if line]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise CohortError(
            f"this table cannot be read: {error}", where=path, remedy=_AS_UTF8
        ) from error


def _delimiter(path: Path) -> str:
    return "," if path.suffix.lower() == ".csv" else "\t"


def _separator(path: Path) -> str:
    return "commas" if _delimiter(path) == "," else "tabs"


def shown(cell: str) -> str:
    """A cell as a message shows it: short, and a look-alike of a letter as what it is."""
    return ascii(cell) if len(cell) <= _LONGEST_SHOWN else f"{cell[:_LONGEST_SHOWN]!a}..."


def columns_of(header: list[str], rows: Rows, names: Sequence[str]) -> dict[str, list[str]]:
    """Named columns; one that the table does not have is ``n/a`` throughout."""
    columns = {}
    for name in names:
        if name in header:
            at = header.index(name)
            columns[name] = [row[at] for row in rows]
        else:
            columns[name] = [MISSING[0]] * len(rows)
    return columns
