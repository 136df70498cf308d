"""Which file holds the mask of which scan: by a pattern of paths, or by a table."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from pathlib import Path

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.cohort.tables import MISSING, columns_of, read_rows
from lesion_dynamics.errors import ConfigurationError

_FIELDS = {"participant_id", "session_id"}
_WHERE = "masks"


def mask_files(masks: str, scans: Sequence[Scan]) -> Mapping[tuple[str, str], Path]:
    """Path of each scan's mask; whether it exists is not looked at. A table may lack scans.

    Parameters
    ----------
    masks : as in `RegisterMasksSettings.masks`.

    Raises
    ------
    ConfigurationError : neither a pattern that tells scans apart nor a table.
    CohortError : a table that cannot be read.
    """
    if "{" not in masks and Path(masks).suffix.lower() in (".tsv", ".csv"):
        return _from_table(Path(masks), {scan.key for scan in scans})
    wanted = _fields(masks)
    sessions = {scan.participant_id for scan in scans}
    if "participant_id" not in wanted or (
        "session_id" not in wanted and len(sessions) < len(scans)
    ):
        raise ConfigurationError(
            "the pattern does not tell the scans apart",
            where=f"{_WHERE}={masks}",
            remedy="Write for example out/{participant_id}/{session_id}/lesions.nii.gz.",
        )
    return {
        scan.key: Path(masks.format(participant_id=scan.participant_id, session_id=scan.session_id))
        for scan in scans
    }


def _fields(pattern: str) -> set[str]:
    try:
        fields = {name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None}
    except ValueError as error:
        raise ConfigurationError(
            f"not a pattern ({error})", where=f"{_WHERE}={pattern}", remedy="Close every brace."
        ) from None
    unknown = fields - _FIELDS
    if unknown:
        raise ConfigurationError(
            f"unknown placeholder {{{min(unknown)}}}",
            where=f"{_WHERE}={pattern}",
            remedy="There are {participant_id} and {session_id}, with their prefixes.",
        )
    return fields


def _from_table(path: Path, known: set[tuple[str, str]]) -> dict[tuple[str, str], Path]:
    names = ("participant_id", "session_id", "mask")
    header, rows = read_rows(path, required=names)
    columns = columns_of(header, rows, names)
    found: dict[tuple[str, str], Path] = {}
    for who, session, mask in zip(*(columns[name] for name in names), strict=True):
        key = (who, session)
        if key not in known or key in found:
            what = "has two rows" if key in found else "is no scan of the cohort"
            raise ConfigurationError(
                f"{who} {session} {what}", where=path, remedy="Correct the table."
            )
        if mask not in MISSING:
            found[key] = path.parent / mask
    return found
