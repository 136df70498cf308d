"""What an analysis left in its folder, read back for the pages."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from lesion_dynamics.errors import MeasurementsError
from lesion_dynamics.longitudinal.measurements import TRUTH
from lesion_dynamics.model_version import folder_name_of
from lesion_dynamics.settings.study import Publication

_NEEDED = (
    "statistics", "change_per_participant", "intervals", "scans_left_out", "robustness",
    "measurement_error", "remission",
)  # fmt: skip
_MAYBE = (
    "version_differences", "version_agreement", "class_changes", "verdicts", "scans", "attacks",
)  # fmt: skip
_TEXT = (
    "model_version", "reference", "participant_id", "session_id", "diagnosis", "quantity",
    "statistic", "role", "unit", "interval_method", "family", "test", "zero_method", "note",
    "reason", "start_session_id", "end_session_id", "first_session_id", "last_session_id",
    "choice", "line", "verdict", "reference_class", "class", "scanner", "beyond_noise",
)  # fmt: skip
_REMEDY = "Run analyze.py first, then name its results folder."


@dataclass(frozen=True)
class Results:
    """Tables by the name of their file, missing ones empty, and the record of the settings.

    table_one : as in ``paper/table_one.csv``.
    """

    folder: Path
    tables: dict[str, pd.DataFrame]
    provenance: dict[str, Any]
    table_one: pd.DataFrame
    publication: Publication | None

    @property
    def versions(self) -> list[str]:
        """Model versions in the order of their release; the truth is none."""
        names = dict.fromkeys(self.tables["statistics"]["model_version"])
        return [name for name in names if name != TRUTH]

    @property
    def study(self) -> dict[str, Any]:
        """Settings of the study."""
        found: dict[str, Any] = self.provenance["settings"]["study"]
        return found

    @property
    def cohort_name(self) -> str:
        """Of the cohort's settings."""
        return str(self.provenance["settings"]["cohort"]["name"])

    @property
    def has_truth(self) -> bool:
        """Whether the true volumes are known."""
        return bool((self.tables["statistics"]["model_version"] == TRUTH).any())

    def of(self, name: str, version: str) -> pd.DataFrame:
        """The rows of one model version in a table."""
        table = self.tables[name]
        return table if table.empty else table[table["model_version"] == version]


def read_results(folder: Path) -> Results:
    """Read the results of ``analyze.py``.

    Raises
    ------
    MeasurementsError : the folder holds no such results, or a file of them cannot be read.
    """
    tables = {name: _table(folder / f"{name}.tsv", needed=True) for name in _NEEDED}
    tables |= {name: _table(folder / f"{name}.tsv", needed=False) for name in _MAYBE}
    path = folder / "provenance.json"
    try:
        provenance = json.loads(path.read_text(encoding="utf-8"))
        published = provenance["settings"]["study"]["published"]
        publication = None if published is None else Publication.model_validate(published)
        str(provenance["settings"]["cohort"]["name"])
        float(provenance["settings"]["study"]["interval_level"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise _unreadable(path, error) from None
    paper = folder / "paper" / "table_one.csv"
    try:
        table_one = pd.read_csv(paper, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise _unreadable(paper, error) from None
    return Results(folder, tables, provenance, table_one, publication)


def page_name(version: str) -> str:
    """File name of a model version's report: ``name-v3.html`` for ``name/3``."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", folder_name_of(version)) + ".html"


def _table(path: Path, *, needed: bool) -> pd.DataFrame:
    if not needed and not path.is_file():
        return pd.DataFrame()
    try:
        text = dict.fromkeys(_TEXT, str)
        table = pd.read_csv(
            path, sep="\t", dtype=text, keep_default_na=False, na_values=["n/a"],
            quoting=0, encoding="utf-8",
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    for name in set(_TEXT) & set(table.columns):
        table[name] = table[name].fillna("")
    for name in set(table.columns) - set(_TEXT):
        if table[name].dtype == object and (table[name] == "").all():
            table[name] = float("nan")
    return table


def _unreadable(path: Path, error: Exception) -> MeasurementsError:
    missing = isinstance(error, FileNotFoundError)
    what = "there is no such result" if missing else f"this result cannot be read ({error!s:.120})"
    return MeasurementsError(what, where=path, remedy=_REMEDY)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries by column."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
