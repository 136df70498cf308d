"""The study on one screen: measured, true and published figures side by side."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import pandas as pd

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.measurements import TRUTH
from lesion_dynamics.longitudinal.side_by_side import KEY
from lesion_dynamics.longitudinal.study import BETWEEN, PRIMARY, SECONDARY

if TYPE_CHECKING:
    from rich.table import Table

LABEL_WIDTH = 38
MEASURED_WIDTH = 25
TRUE_WIDTH = 9
UNDEFINED = "-"
TWO_DECIMALS = ("", "years", "mm/year", "1/year")
"""Units, and no unit, whose usual values are of the order of one."""
P = "p_value"
ESTIMATE = "estimate"

_WITHIN = (
    ("participants", "participants", "count", ESTIMATE),
    ("first lesion volume, median (mm3)", "first_lesion_volume_mm3", "median", ESTIMATE),
    ("last lesion volume, median (mm3)", "last_lesion_volume_mm3", "median", ESTIMATE),
    ("change in remission, pseudomedian (mm3)", "remission_change_mm3", "pseudomedian", ESTIMATE),
    ("  signed-rank p", "remission_change_mm3", "pseudomedian", P),
    ("annualised change, median (mm3/year)", "annualised_change_mm3_per_year", "median", ESTIMATE),
    ("volume error, median (mm3)", "volume_error_mm3", "median", ESTIMATE),
    (
        "volume in lesion-free scans (mm3)",
        "volume_in_lesion_free_scans_mm3",
        "median",
        ESTIMATE,
    ),
)
_BETWEEN_ROWS = (
    ("annualised change, shift (mm3/year)", "annualised_change_mm3_per_year", "shift", ESTIMATE),
    ("  Mann-Whitney p", "annualised_change_mm3_per_year", "shift", P),
    (
        "annualised change, Cliff's delta",
        "annualised_change_mm3_per_year",
        "Cliff's delta",
        ESTIMATE,
    ),
    ("growth, mixed model (slope a year)", "transformed_volume_slope", "mixed model", ESTIMATE),
    ("  Satterthwaite p", "transformed_volume_slope", "mixed model", P),
)

PUBLISHED = "published"

Lookup = dict[tuple[str, str, str], pd.Series]
StudyRows = tuple[list[str], list[tuple[str, list[tuple[str, list[str]]]]]]


def study_text(
    statistics: pd.DataFrame, published: pd.DataFrame, *, title: str, remarks: list[str]
) -> str:
    """The table and its remarks as plain text.

    Parameters
    ----------
    statistics : `longitudinal.study.STATISTICS_COLUMNS` of all model versions and the truth.
    published : table of `longitudinal.side_by_side.published_figures`.
    title : one line above the table.
    remarks : lines below it: what was left out, the rules, what could not be computed.
    """
    from rich.console import Console

    # Wide enough for every column: a narrow terminal wraps lines, but nothing is cut off.
    columns = statistics["model_version"].nunique() + 2
    width = (LABEL_WIDTH + MEASURED_WIDTH) * columns
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None, force_terminal=False)
    console.print(title, highlight=False, markup=False)
    console.print(study_table(statistics, published))
    for remark in remarks:
        console.print(remark, highlight=False, markup=False, soft_wrap=True)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def study_table(statistics: pd.DataFrame, published: pd.DataFrame) -> Table:
    """A column a model version, one for the truth if known, one for the publication.

    Intervals stand beside measured values only: `statistics.tsv` has those of the truth.
    """
    from rich import box
    from rich.table import Table

    heads, sections = study_rows(statistics, published)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", min_width=LABEL_WIDTH, no_wrap=True)
    widths = {"true": TRUE_WIDTH, PUBLISHED: None}
    for head in heads:
        width = widths.get(head, MEASURED_WIDTH)
        table.add_column(head, justify="right", min_width=width, no_wrap=True)
    for diagnosis, rows in sections:
        table.add_section()
        table.add_row(diagnosis)
        for label, cells in rows:
            # Rich would read square brackets as its own markup.
            table.add_row(f"  {label}", *(cell.replace("[", r"\[") for cell in cells))
    return table


def study_rows(statistics: pd.DataFrame, published: pd.DataFrame) -> StudyRows:
    """The table's heads, and by diagnosis its labelled rows of cells, as text.

    A head a model version ("true" for the truth), and the publication last.
    """
    primary = statistics[statistics["role"].isin([PRIMARY, SECONDARY])]
    versions = list(dict.fromkeys(primary["model_version"]))
    sources = [_lookup(primary[primary["model_version"] == version]) for version in versions]
    printed = _lookup(published)
    sections = []
    for diagnosis in (*DIAGNOSES, BETWEEN):
        rows = []
        for label, quantity, statistic, kind in _BETWEEN_ROWS if diagnosis == BETWEEN else _WITHIN:
            key = (diagnosis, quantity, statistic)
            if not any(key in source for source in sources):
                continue
            cells = [
                _cell(source.get(key), kind, interval=version != TRUTH)
                for version, source in zip(versions, sources, strict=True)
            ]
            rows.append((label, [*cells, _published_cell(printed.get(key), kind)]))
        sections.append((diagnosis, rows))
    heads = ["true" if name == TRUTH else f"measured by\n{name}" for name in versions]
    return [*heads, PUBLISHED], sections


def _lookup(table: pd.DataFrame) -> Lookup:
    return {(row[KEY[0]], row[KEY[1]], row[KEY[2]]): row for _, row in table.iterrows()}


def _cell(row: pd.Series | None, kind: str, *, interval: bool) -> str:
    if row is None:
        return ""
    if kind == P:
        return p_text(float(row["p_value"]))
    text = number_text(float(row["estimate"]), unit=row["unit"])
    low, high = float(row["interval_low"]), float(row["interval_high"])
    if interval and math.isfinite(low) and math.isfinite(high):
        unit = row["unit"]
        text += f" [{number_text(low, unit=unit)}, {number_text(high, unit=unit)}]"
    return text


def _published_cell(row: pd.Series | None, kind: str) -> str:
    if row is None:
        return ""
    if kind == P:
        value = float(row["published_p_value"])
        bound = "<" if row["published_p_value_is_bound"] else ""
        return "" if math.isnan(value) else f"{bound}{value:g}"
    value = float(row["published"])
    return "" if math.isnan(value) else number_text(value, unit="mm3")


def number_text(value: float, *, unit: str) -> str:
    """Whole numbers with thousands separators; two decimals where there is none to be whole."""
    if math.isnan(value):
        return UNDEFINED
    if unit in TWO_DECIMALS:
        return f"{value:.2f}"
    # Adding 0.0 turns a negative zero into a plain one.
    return f"{round(value) + 0:,}"


def p_text(value: float) -> str:
    """A p-value with three digits, or "<0.001"."""
    if math.isnan(value):
        return UNDEFINED
    return "<0.001" if value < 0.001 else f"{value:.3f}"
