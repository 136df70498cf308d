"""The study's answer under every declared choice, one line each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.robustness import DECLARED
from lesion_dynamics.longitudinal.study import BETWEEN
from lesion_dynamics.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOUR = {**style.DIAGNOSIS_COLOUR, BETWEEN: style.BLACK}
_TITLE = {
    "MS": "MS: typical change",
    "NMOSD": "NMOSD: typical change",
    BETWEEN: "Difference, MS − NMOSD",
}
_ROW_INCHES = 0.3


def draw_specification_curve(
    folder: Path, *, robustness: pd.DataFrame, model_version: str
) -> tuple[Path, Path]:
    """Write ``robustness.png`` and ``.svg``: a row a line of the panel, a column an estimate.

    Parameters
    ----------
    robustness : `longitudinal.robustness.ROBUSTNESS_COLUMNS`.
    model_version : whose lines are drawn; named in the title.
    """
    own = robustness[robustness["model_version"] == model_version]
    lines = list(dict.fromkeys(zip(own["choice"], own["line"], strict=True)))
    with style.house_style():
        figure = style.new_figure(width=12, height=1.6 + _ROW_INCHES * max(len(lines), 3))
        panels = figure.subplots(1, 3, sharey=True)
        for panel, diagnosis in zip(panels, (*DIAGNOSES, BETWEEN), strict=True):
            rows = own[own["diagnosis"] == diagnosis]
            _draw_column(panel, rows, lines, colour=_COLOUR[diagnosis])
            panel.set_title(_TITLE[diagnosis])
            panel.set_xlabel("mm³/year")
        labels = [line if choice == DECLARED else f"{choice}: {line}" for choice, line in lines]
        if labels:
            labels[0] = f"{DECLARED}: {labels[0]}"
        panels[0].set_yticks(range(len(lines)), labels)
        panels[0].set_ylim(len(lines) - 0.5, -0.5)
        level = own["interval_level"].dropna()
        interval = f", intervals at {level.iloc[0]:.0%}" if len(level) else ""
        figure.suptitle(
            f"{model_version}: annualised change in remission under other choices"
            f"{interval}; open: the interval's test shows no change",
            fontsize=11,
        )
        return style.save(figure, folder, "robustness")


def _draw_column(
    panel: Axes, rows: pd.DataFrame, lines: list[tuple[str, str]], *, colour: str
) -> None:
    by_line = {(row["choice"], row["line"]): row for _, row in rows.iterrows()}
    panel.axvline(0, color="0.6", linewidth=0.8, zorder=1)
    for at, line in enumerate(lines):
        row = by_line.get(line)
        if row is None or not np.isfinite(row["estimate"]):
            panel.text(
                0.5, at, "not computed", transform=panel.get_yaxis_transform(), ha="center",
                va="center", fontsize=8, color=style.GREY,
            )  # fmt: skip
            continue
        low, high = float(row["interval_low"]), float(row["interval_high"])
        if np.isfinite([low, high]).all():
            panel.plot([low, high], [at, at], color=colour, linewidth=1.6, zorder=3)
        significant = float(row["p_value"]) < 1 - float(row["interval_level"])
        panel.plot(
            row["estimate"], at, "o", color=colour, markersize=6, zorder=4,
            markerfacecolor=colour if significant else "white",
        )  # fmt: skip
        if at == 0:
            panel.axvline(row["estimate"], color=colour, linestyle=(0, (4, 3)), linewidth=0.9)
            panel.axhline(0.5, color="0.8", linewidth=0.8)
    panel.grid(axis="x", color="0.92", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.tick_params(axis="y", length=0)
    style.label_thousands(panel.xaxis)
