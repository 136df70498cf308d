"""What an analysis gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import pandas as pd

from lesion_dynamics.cohort.remission_account import RemissionAccount


class VersionTables(TypedDict):
    """Tables of pairs of model versions; empty where there is one version only."""

    version_differences: pd.DataFrame
    version_agreement: pd.DataFrame
    class_changes: pd.DataFrame
    verdicts: pd.DataFrame


@dataclass(frozen=True)
class AnalysisResult:
    """What was computed, and where it was written.

    statistics, changes, intervals, comparison, left_out, robustness, measurement_error,
    version_differences, version_agreement, class_changes, verdicts, table_one : the tables of
    the same names. remission : how many scans and intervals the rule leaves out. text : the
    study on one screen. files : everything written, by name.
    """

    statistics: pd.DataFrame
    changes: pd.DataFrame
    intervals: pd.DataFrame
    comparison: pd.DataFrame
    left_out: pd.DataFrame
    robustness: pd.DataFrame
    measurement_error: pd.DataFrame
    version_differences: pd.DataFrame
    version_agreement: pd.DataFrame
    class_changes: pd.DataFrame
    verdicts: pd.DataFrame
    table_one: pd.DataFrame
    remission: RemissionAccount
    text: str = ""
    files: dict[str, Path] = field(default_factory=dict)
