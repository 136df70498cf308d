"""Reading a cohort from a manifest: one row a scan, files anywhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lesion_dynamics.cohort import tables
from lesion_dynamics.cohort.cohort import CohortTables, Exclusion, Scan
from lesion_dynamics.cohort.manifest_table import FLAGS, MASK, ManifestRow, read_manifest
from lesion_dynamics.cohort.said_at_sessions import said_at_sessions
from lesion_dynamics.cohort.unread_settings import refuse_unread
from lesion_dynamics.errors import CohortError
from lesion_dynamics.settings.cohort import CohortSettings, Prepared

_CORRECT = "Correct the row, or take it out."
ATTACKS = ("attacks.tsv", "attacks.csv")


def read_tables(settings: CohortSettings) -> CohortTables:
    """Participants, sessions and attacks, of the manifest and of ``attacks.tsv`` beside it.

    A participant's age is that of the earliest session which has one; sex and scanner are those
    that all rows of the participant agree on, and missing where they do not. Without an attacks
    table the cohort has no record of attacks.

    Raises
    ------
    CohortError : a missing or wrong table.
    ConfigurationError : settings that this layout does not read.
    """
    refuse_unread(settings, read={"manifest", "prepared"})
    path = manifest_file(settings)
    rows = sorted(read_manifest(path), key=lambda row: row.days)
    by_participant: dict[str, list[ManifestRow]] = {}
    for row in rows:
        by_participant.setdefault(row.key[0], []).append(row)
    people = list(by_participant.values())
    participants = {
        "participant_id": list(by_participant),
        "diagnosis": [own[0].cells["diagnosis"] for own in people],
        "age": [next(iter(_given(own, "age")), tables.MISSING[0]) for own in people],
        "sex": [_agreed(own, "sex") for own in people],
        "scanner": [_agreed(own, "scanner") for own in people],
    }
    names = ("participant_id", "session_id", "days_from_baseline", "scanner")
    sessions = {name: [row.cells[name] for row in rows] for name in names}
    participants_table = tables.participants_table(participants, where=path)
    attacks = _attacks_file(path.parent)
    return CohortTables(
        participants=participants_table,
        sessions=tables.sessions_table(sessions, file_of=lambda _: path, undated_allowed=True),
        attacks=tables.no_attacks()
        if attacks is None
        else tables.read_attacks(attacks, participants=participants_table),
        attacks_recorded=attacks is not None,
        said_at_sessions=said_at_sessions(
            {name: [row.cells[name] for row in rows] for name in (*names[:2], "age", "sex")}
        ),
    )


def find_scans(
    settings: CohortSettings,
    cohort_tables: CohortTables,  # noqa: ARG001 (the manifest holds the files as well)
    *,
    required_sequences: tuple[str, ...],
    optional_sequences: tuple[str, ...],
) -> tuple[list[Scan], list[Exclusion]]:
    """Find the files of every row, and the rows that lack one or name one that is not there."""
    scans: list[Scan] = []
    exclusions: list[Exclusion] = []
    for row in read_manifest(manifest_file(settings)):
        wanted = (*required_sequences, *optional_sequences, MASK)
        files = {name: row.files[name] for name in wanted if name in row.files}
        gone = [name for name, file in files.items() if not os.path.lexists(file)]
        never = [name for name in required_sequences if name not in files]
        if gone:
            reason = f"row {row.number}, column {gone[0]}: no file {row.cells[gone[0]]}"
            exclusions.append(Exclusion(*row.key, reason, failed=True, remedy=_CORRECT))
        elif never:
            reason = f"no {never[0]} in row {row.number}"
            exclusions.append(Exclusion(*row.key, reason, remedy=_CORRECT))
        else:
            mask = files.pop(MASK, None)
            prepared = _prepared(row, settings.prepared)
            scans.append(Scan(*row.key, files, reference_mask=mask, prepared=prepared))
    return scans, exclusions


def manifest_file(settings: CohortSettings) -> Path:
    """The table, ``cohort.manifest`` below ``cohort.root``."""
    return settings.root / settings.manifest


def _prepared(row: ManifestRow, of_cohort: Prepared) -> Prepared | None:
    said = {name: row.flag(name) for name in FLAGS}
    given = {name: flag for name, flag in said.items() if flag is not None}
    return of_cohort.model_copy(update=given) if given else None


def _given(rows: Sequence[ManifestRow], column: str) -> list[str]:
    return [row.cells[column] for row in rows if row.cells[column] not in tables.MISSING]


def _agreed(rows: Sequence[ManifestRow], column: str) -> str:
    values = set(_given(rows, column))
    if column == "sex":
        values = {tables.SEX[value.lower()] or tables.MISSING[0] for value in values}
    return values.pop() if len(values) == 1 else tables.MISSING[0]


def _attacks_file(folder: Path) -> Path | None:
    found = [folder / name for name in ATTACKS if os.path.lexists(folder / name)]
    if len(found) > 1:
        raise CohortError(
            f"there are two tables of attacks, {' and '.join(ATTACKS)}",
            where=folder,
            remedy="Keep one of them.",
        )
    return found[0] if found else None
