"""The answer under every declared choice: a row a choice, a column an estimate."""

from __future__ import annotations

import math

import pandas as pd

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.robustness import DECLARED
from lesion_dynamics.longitudinal.study import BETWEEN
from lesion_dynamics.report.html.answer import p_words, with_interval
from lesion_dynamics.report.html.panel import Line, Mark, Panel, Scale, Words, reach

_COLUMNS = (*DIAGNOSES, BETWEEN)
_TITLES = {"MS": "MS", "NMOSD": "NMOSD", BETWEEN: "MS less NMOSD"}
_LABELS, _COLUMN, _GAP, _ROW = 340.0, 200.0, 24.0, 24.0


def specification_panel(robustness: pd.DataFrame) -> Panel:
    """The specification curve of one model version.

    Parameters
    ----------
    robustness : `longitudinal.robustness.ROBUSTNESS_COLUMNS` of one model version.
    """
    lines = list(dict.fromkeys(zip(robustness["choice"], robustness["line"], strict=True)))
    panel = Panel(
        "robustness",
        "Annualised change in remission (mm³/year) under other choices",
        f"{len(lines)} sets of choices, each with the typical change in MS, in NMOSD and the"
        " difference, with intervals; filled marks are shown to differ from zero.",
        width=_LABELS + 3 * (_COLUMN + _GAP),
        height=78 + _ROW * max(len(lines), 2),
        left=_LABELS,
        top=30,
    )
    for row, (choice, line) in enumerate(lines):
        text = f"{DECLARED}: {line}" if choice == DECLARED else f"{choice}: {line}"
        css = "strong" if choice == DECLARED else ""
        at = _height(panel, row)
        panel.words.append(Words(_LABELS - 12, at + 4, _short(text), "end", css))
        if choice == DECLARED:
            y = at + _ROW / 2
            panel.lines.append(Line(((8, y), (panel.plot_right, y)), "rule"))
    for column, diagnosis in enumerate(_COLUMNS):
        _draw_column(panel, robustness[robustness["diagnosis"] == diagnosis], lines, column)
    if not lines:
        panel.say_empty("no other choice was computed")
    return panel


def _height(panel: Panel, row: int) -> float:
    return panel.top + _ROW * (row + 0.5)


def _short(text: str) -> str:
    return text if len(text) <= 48 else f"{text[:47]}…"


def _draw_column(
    panel: Panel, rows: pd.DataFrame, lines: list[tuple[str, str]], column: int
) -> None:
    start = _LABELS + column * (_COLUMN + _GAP)
    ends = pd.concat([rows["estimate"], rows["interval_low"], rows["interval_high"]])
    low, high = reach(ends.astype(float), least=(0.0, 1.0))
    x = Scale(low, high, start + 6, start + _COLUMN - 6)
    title = _TITLES[_COLUMNS[column]]
    panel.words.append(Words(start + _COLUMN / 2, 16, title, css="strong"))
    panel.upright(x(0), "zero")
    panel.x_ticks.extend(x.ticks())
    panel.words.append(Words(start + _COLUMN / 2, panel.height - 6, "mm³/year", css="label"))
    by_line = {(row["choice"], row["line"]): row for _, row in rows.iterrows()}
    for number, line in enumerate(lines):
        at = _height(panel, number)
        row = by_line.get(line)
        if row is None or math.isnan(float(row["estimate"])):
            note = "" if row is None else f" ({row['note']})" if row["note"] else ""
            middle = start + _COLUMN / 2
            panel.words.append(Words(middle, at + 4, "not computed", css="empty small"))
            panel.marks.append(Mark(middle, at, "ghost", f"{' '.join(line)}: not computed{note}"))
            continue
        if line[0] == DECLARED:
            panel.upright(x(float(row["estimate"])), "declared")
        _draw_estimate(panel, row, f"{title}, {line[0]}: {line[1]}", x, at)


def _draw_estimate(panel: Panel, row: pd.Series, name: str, x: Scale, at: float) -> None:
    css = str(row["diagnosis"]).replace("MS vs NMOSD", "between")
    low, high = float(row["interval_low"]), float(row["interval_high"])
    if math.isfinite(low) and math.isfinite(high):
        panel.lines.append(Line(((x(low), at), (x(high), at)), f"interval {css}"))
    p_value, alpha = float(row["p_value"]), 1 - float(row["interval_level"])
    shown = p_value < alpha
    tested = "" if math.isnan(p_value) else f", {p_words(p_value, alpha)}"
    label = f"{name}: {with_interval(row)}{tested}, n = {int(row['n'])}"
    state = "filled" if shown else "open"
    panel.marks.append(Mark(x(float(row["estimate"])), at, f"estimate {css} {state}", label))
