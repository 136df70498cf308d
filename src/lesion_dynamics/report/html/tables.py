"""Tables of the pages as text cells; the templates escape every one of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from lesion_dynamics.report.html.answer import figure, p_words, unit_text
from lesion_dynamics.report.html.results import records
from lesion_dynamics.report.study_table import study_rows

Row = tuple[str, list[str]]


@dataclass(frozen=True)
class Cells:
    """A table: caption, heads, rows of a label and cells, and a note below.

    keys : participant of each row, where the filters shall hide it.
    """

    caption: str
    head: tuple[str, ...]
    rows: list[Row]
    note: str = ""
    keys: tuple[str, ...] = field(default=())


def number_or_dash(value: object, unit: str) -> str:
    """A number as the tables print it; a dash where there is none."""
    if not isinstance(value, int | float) or math.isnan(float(value)):
        return "-"
    return figure(float(value), unit)


def interval_text(row: Mapping[str, Any] | pd.Series) -> str:
    """``12 [−7, 23]``, or the estimate alone."""
    unit = str(row["unit"])
    shown = number_or_dash(float(row["estimate"]), unit)
    low, high = float(row["interval_low"]), float(row["interval_high"])
    if math.isfinite(low) and math.isfinite(high):
        shown += f" [{figure(low, unit)}, {figure(high, unit)}]"
    return shown


def table_one_cells(table: pd.DataFrame) -> Cells:
    """Table 1 as it is printed."""
    rows = [(_units(str(row[0])), [str(c) for c in row[1:]]) for row in table.to_numpy().tolist()]
    return Cells(
        "Table 1. Participants",
        tuple(str(name) for name in table.columns),
        rows,
        note="Counts with shares of those known; measures as median (lower to upper quartile).",
    )


def study_sections(
    statistics: pd.DataFrame, published: pd.DataFrame
) -> tuple[list[str], list[Any]]:
    """Heads and sections of the study's table, with true minus signs."""
    heads, sections = study_rows(statistics, published)
    shown = [
        (name, [(_units(label), [_minus(cell) for cell in cells]) for label, cells in rows])
        for name, rows in sections
    ]
    return heads, shown


def _units(text: str) -> str:
    return text.replace("mm3", "mm³")


def _minus(cell: str) -> str:
    return cell.replace("-", "−") if cell != "-" else cell


def participants_cells(changes: pd.DataFrame) -> Cells:
    """Every participant's volumes and change, the ones the charts show."""
    rows: list[Row] = []
    for row in records(changes):
        numbers = [
            number_or_dash(row[name], unit)
            for name, unit in (
                ("session_count", "scans"), ("first_lesion_volume_mm3", "mm3"),
                ("last_lesion_volume_mm3", "mm3"), ("remission_years", "years"),
                ("remission_change_mm3", "mm3"), ("annualised_change_mm3_per_year", "mm3/year"),
            )
        ]  # fmt: skip
        cells = [str(row["diagnosis"]), *numbers, str(row["beyond_noise"] or row["reason"] or "-")]
        rows.append((str(row["participant_id"]), cells))
    return Cells(
        "Every participant",
        ("participant", "diagnosis", "scans", "first volume (mm³)", "last volume (mm³)",
         "in remission (years)", "change in remission (mm³)", "a year (mm³/year)",
         "beyond noise, or why none"),
        rows,
        keys=tuple(label for label, _ in rows),
    )  # fmt: skip


def verdict_cells(verdicts: pd.DataFrame, *, caption: str, level: float) -> Cells:
    """Verdicts of a pair of model versions with estimates and p-values."""
    rows: list[Row] = []
    for row in records(verdicts):
        unit = str(row["unit"])
        before, now = (number_or_dash(row[k], unit) for k in ("reference_estimate", "estimate"))
        tests = [
            "-" if math.isnan(float(row[k])) else p_words(float(row[k]), 1 - level)
            for k in ("reference_p_value", "p_value")
        ]
        question = f"{row['diagnosis']}: {quantity_words(str(row['quantity']))}"
        rows.append(
            (question, [
                str(row["verdict"]), f"{before} → {now} {unit_text(unit)}".strip(),
                f"{tests[0]} → {tests[1].removeprefix('p ').removeprefix('= ')}",
                str(row["statistic"]), str(row["reason"]),
            ])
        )  # fmt: skip
    return Cells(
        caption, ("question", "verdict", "estimate, before → now", "p", "statistic", "reason"), rows
    )


def quantity_words(quantity: str) -> str:
    """``annualised change`` for ``annualised_change_mm3_per_year``."""
    plain = quantity.removesuffix("_mm3_per_year").removesuffix("_mm3")
    return plain.replace("_", " ")


def class_change_cells(changed: pd.DataFrame) -> Cells:
    """Participants whose class differs between two model versions."""
    rows: list[Row] = []
    for row in records(changed):
        cells = [
            str(row["diagnosis"]), f"{row['reference']} → {row['model_version']}",
            str(row["reference_class"]), str(row["class"]),
            number_or_dash(row["reference_change_mm3"], "mm3"),
            number_or_dash(row["change_mm3"], "mm3"),
        ]  # fmt: skip
        rows.append((str(row["participant_id"]), cells))
    return Cells(
        "Participants whose class changes",
        ("participant", "diagnosis", "versions", "before", "now", "change before (mm³)",
         "change now (mm³)"),
        rows,
        keys=tuple(label for label, _ in rows),
    )  # fmt: skip


def pretty(content: Any) -> str:
    """Readable JSON of settings."""
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
