"""A cohort in parts, for jobs that share nothing: whole participants, about as many in each."""

from __future__ import annotations

from pathlib import Path

from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.errors import CohortError


def tables_of_part(
    tables: CohortTables, part: tuple[int, int] | None, *, where: Path | str
) -> CohortTables:
    """The rows of every n-th participant from the k-th, in the order of their ids.

    part : ``(k, n)``; None: all.

    Raises
    ------
    CohortError : fewer participants than parts.
    """
    if part is None:
        return tables
    number, parts = part
    people = sorted(tables.participants["participant_id"])
    if len(people) < parts:
        raise CohortError(
            f"{len(people)} participants do not make {parts} parts",
            where=where,
            remedy=f"Make {len(people)} parts at most, each the part k of part=k/n.",
        )
    return tables.of(people[number - 1 :: parts])
