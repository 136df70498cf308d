"""The contract of ``lesion_measurements.tsv``: one row a scan and model version.

A scan that failed has no volume and a reason; a scan without lesions has the volume 0.0. The
two are never confused. Volumes are kept to 0.001 mm3, so that float noise cannot turn an
unchanged participant into a changed one.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from lesion_dynamics.atomic_files import write_text
from lesion_dynamics.errors import MeasurementsError

FILE_NAME = "lesion_measurements.tsv"
TRUTH = "truth"
MEASURED = "measured"
FAILED = "failed"
VOLUME_DECIMALS = 3

COLUMNS = (
    "participant_id",
    "session_id",
    "model_version",
    "weights_sha256",
    "probability_threshold",
    "minimum_lesion_volume_mm3",
    "connectivity",
    "lesion_volume_mm3",
    "lesion_count",
    "largest_lesion_volume_mm3",
    "brain_volume_mm3",
    "voxel_volume_mm3",
    "status",
    "reason",
)
REQUIRED = ("participant_id", "session_id", "model_version", "lesion_volume_mm3")
"""All that a table from elsewhere needs. Without ``status`` every row must have a volume."""

TEXT_COLUMNS = (
    "participant_id",
    "session_id",
    "model_version",
    "weights_sha256",
    "status",
    "reason",
)
_VOLUMES = (
    "lesion_volume_mm3",
    "largest_lesion_volume_mm3",
    "brain_volume_mm3",
    "voxel_volume_mm3",
)
KEY = ["model_version", "participant_id", "session_id"]
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)")


def read_measurements(path: Path) -> pd.DataFrame:
    """Read and check one table.

    Returns
    -------
    The columns of `COLUMNS` (those absent are filled: ``status`` measured, else missing),
    sorted by model version, participant and session.

    Raises
    ------
    MeasurementsError : no such file, not a table, a missing column, a duplicate row, a volume
        that is negative, not a number or missing, a failed row without a reason.
    """
    return check_measurements(table_at(path), where=path)


def read_measurements_at(path: Path, columns: list[str]) -> dict[tuple[float, ...], pd.DataFrame]:
    """Checked tables of one file by the numbers in ``columns``: a scan may stand once in each.

    Raises
    ------
    MeasurementsError : as `read_measurements`; or a row lacks one of ``columns``.
    """
    table = table_at(path)
    missing = [column for column in columns if column not in table]
    if missing:
        raise MeasurementsError(
            f"missing column {missing[0]}", where=path, remedy="Write it again with infer.py."
        )
    numbers = pd.DataFrame({column: _numbers(table, column, path) for column in columns})
    _refuse(table, numbers.isna().any(axis=1), f"no {' or '.join(columns)}", path, "Fill it in.")
    keys = list(numbers.itertuples(index=False, name=None))
    groups = table.groupby(pd.Index(keys, tupleize_cols=False), sort=True)
    return {key: check_measurements(part, where=path) for key, part in groups}


def table_at(path: Path) -> pd.DataFrame:
    """The table of a file as text, missing entries None; nothing but its form is checked."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        table = pd.read_csv(io.StringIO(text), sep="\t", dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise MeasurementsError(
            "no such table of lesion volumes",
            where=path,
            remedy="Run infer.py, or correct the path.",
        ) from None
    except IsADirectoryError:
        raise MeasurementsError(
            "this is a folder, not a table of lesion volumes",
            where=path,
            remedy="Name the table in it.",
        ) from None
    except OSError as error:
        raise MeasurementsError(
            f"this table cannot be read ({error.strerror})",
            where=path,
            remedy="Correct its access rights, or name another table.",
        ) from None
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise MeasurementsError(
            f"this is not a tab-separated table ({error})",
            where=path,
            remedy=f"Expected are the columns {', '.join(REQUIRED)} and more.",
        ) from None
    return table.replace({"n/a": None, "": None})


def check_measurements(table: pd.DataFrame, *, where: str | Path) -> pd.DataFrame:
    """Check the rows of a table and return it in the contract's columns, types and order.

    Raises
    ------
    MeasurementsError : as for `read_measurements`.
    """
    missing = [column for column in REQUIRED if column not in table]
    if missing:
        raise MeasurementsError(
            f"missing column{'s'[: len(missing) > 1]} {', '.join(missing)}",
            where=where,
            remedy=f"A table of lesion volumes has at least {', '.join(REQUIRED)}.",
        )
    if table.empty:
        raise MeasurementsError("the table has no row", where=where, remedy="Run infer.py again.")
    status_given = "status" in table
    table = table.reindex(columns=COLUMNS)
    if not status_given:
        table["status"] = MEASURED
    table["reason"] = table["reason"].astype(object).fillna("")
    for column in COLUMNS:
        if column in TEXT_COLUMNS:
            table[column] = table[column].astype("str")
        else:
            table[column] = _numbers(table, column, where)
    _refuse_bad_rows(table, where)
    table[list(_VOLUMES)] = table[list(_VOLUMES)].round(VOLUME_DECIMALS)
    table["lesion_count"] = table["lesion_count"].astype("Int64")
    table["connectivity"] = table["connectivity"].astype("Int64")
    order = _in_order(table["model_version"].unique())
    return (
        table.assign(_version=table["model_version"].map({v: i for i, v in enumerate(order)}))
        .sort_values(["_version", "participant_id", "session_id"], kind="stable")
        .drop(columns="_version")
        .reset_index(drop=True)
    )


def _numbers(table: pd.DataFrame, column: str, where: str | Path) -> pd.Series[float]:
    _refuse(
        table, not_numbers(table[column]), f"{column} is not a number", where,
        "Write a number, or n/a in a failed row.",
    )  # fmt: skip
    return pd.to_numeric(table[column], errors="coerce").astype(float)


def not_numbers(column: pd.Series[str]) -> pd.Series[bool]:
    """Which entries are given and are no finite number."""
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    return column.notna() & ~numbers.abs().lt(float("inf"))


def _refuse_bad_rows(table: pd.DataFrame, where: str | Path) -> None:
    for column in ("participant_id", "session_id", "model_version"):
        _refuse(table, table[column].isna(), f"{column} is missing", where, "Fill it in.")
    for bad, what, remedy in row_rules(table):
        _refuse(table, bad, what, where, remedy)
    _refuse(
        table, table.duplicated(KEY), "the scan is listed twice for the same model version", where,
        "Keep one row a scan and model version.",
    )  # fmt: skip


def row_rules(table: pd.DataFrame) -> Iterator[tuple[pd.Series[bool], str, str]]:
    """What a row may not be, each with what is wrong and what to do.

    ``table`` has the columns of `COLUMNS`, its numbers as numbers.
    """
    yield (
        ~table["status"].isin([MEASURED, FAILED]),
        f"status is neither {MEASURED} nor {FAILED}",
        "Correct it.",
    )
    for column in _VOLUMES:
        yield table[column] < 0, f"{column} is negative", "Correct the volume."
    failed = table["status"] == FAILED
    missing = table["lesion_volume_mm3"].isna()
    yield (
        ~failed & missing,
        "a measured scan has no lesion_volume_mm3",
        f"Write 0.0 for a scan without lesions, or status {FAILED} and a reason.",
    )
    yield (
        failed & ~missing,
        "a failed scan has a lesion_volume_mm3",
        "Write n/a, or status measured.",
    )
    yield (
        failed & (table["reason"] == ""),
        "a failed scan has no reason",
        "Say in the column reason why it failed.",
    )


def _refuse(
    table: pd.DataFrame, bad: pd.Series[bool], what: str, where: str | Path, remedy: str
) -> None:
    if not bad.any():
        return
    first = table[bad].iloc[0]
    more = int(bad.sum()) - 1
    row = f"{first['participant_id']} {first['session_id']} ({first['model_version']})"
    raise MeasurementsError(
        f"{what} in the row of {row}" + (f" and in {more} more" if more else ""),
        where=where,
        remedy=remedy,
    )


def require_known_scans(
    table: pd.DataFrame, sessions: pd.DataFrame, *, where: str | Path, cohort: str | Path
) -> None:
    """Raise `MeasurementsError` if a row names a participant or session the cohort lacks."""
    known = pd.MultiIndex.from_frame(sessions[["participant_id", "session_id"]])
    rows = pd.MultiIndex.from_frame(table[["participant_id", "session_id"]])
    unknown_participant = ~table["participant_id"].isin(sessions["participant_id"])
    remedy = f"Are these the volumes of another cohort? This one is {cohort}."
    _refuse(table, unknown_participant, "the cohort has no such participant", where, remedy)
    unknown = pd.Series(~rows.isin(known), index=table.index)
    _refuse(table, unknown, "the cohort has no such session", where, remedy)


def combine_measurements(tables: Iterable[pd.DataFrame], *, where: str | Path) -> pd.DataFrame:
    """Put checked tables together; a scan may occur once for each model version."""
    together = pd.concat(list(tables), ignore_index=True)
    return check_measurements(together, where=where)


def model_versions(table: pd.DataFrame) -> list[str]:
    """Model versions of a table from oldest to newest; the truth, if there, comes last."""
    return _in_order(table["model_version"].unique())


def _in_order(versions: Iterable[str]) -> list[str]:
    """Every number in a label counts as a number: a/2+flips is older than a/10+flips."""

    def key(version: str) -> tuple[bool, list[str | float], str]:
        parts = _NUMBER.split(version)  # text and numbers by turns
        numbered = [float(part) if at % 2 else part for at, part in enumerate(parts)]
        return (version == TRUTH, numbered, version)

    return sorted((str(version) for version in versions), key=key)


def write_measurements(path: Path, table: pd.DataFrame) -> None:
    """Check ``table`` and write it to ``path`` atomically; the same rows give the same bytes."""
    checked = check_measurements(table, where=path)
    write_text(path, checked.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n"))
