"""Annualised change of lesion volume in remission: every participant, by diagnosis."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUANTITY = "annualised_change_mm3_per_year"
LINEAR_WITHIN_MM3_PER_YEAR = 100.0
"""The axis is linear about zero and logarithmic beyond, on both sides."""
SPREAD = 0.32
"""Half width of the cloud of one column, in columns."""


def draw_annualised_change(
    folder: Path, *, changes: pd.DataFrame, statistics: pd.DataFrame, published: pd.DataFrame
) -> tuple[Path, Path]:
    """Write ``annualised_change.png`` and ``.svg``: a column a diagnosis and model version.

    Parameters
    ----------
    changes : tables of `longitudinal.change.change_per_participant` with model_version.
    statistics : `longitudinal.study.STATISTICS_COLUMNS`.
    published : table of `longitudinal.side_by_side.published_figures`.
    """
    versions = list(dict.fromkeys(changes["model_version"]))
    with style.house_style():
        width = max(6.4, 2.4 + 1.35 * len(versions) * len(DIAGNOSES))
        figure = style.new_figure(width=width, height=5.2)
        panels = figure.subplots(1, len(DIAGNOSES), sharey=True)
        for panel, diagnosis in zip(panels, DIAGNOSES, strict=True):
            for column, version in enumerate(versions):
                rows = changes[
                    (changes["diagnosis"] == diagnosis) & (changes["model_version"] == version)
                ]
                values = rows[QUANTITY].dropna().to_numpy(dtype=float)
                _draw_column(panel, column, values, colour=style.DIAGNOSIS_COLOUR[diagnosis])
                _draw_median(panel, column, statistics, diagnosis, version)
            _draw_published(panel, published, diagnosis)
            _label(panel, diagnosis, changes, versions)
        panels[0].set_ylabel("Annualised change in remission (mm³/year)")
        _fit_y(panels[0])
        figure.legend(handles=_legend(statistics), loc="outside lower center", ncols=3)
        return style.save(figure, folder, "annualised_change")


def _draw_column(panel: Axes, column: int, values: NDArray[np.float64], *, colour: str) -> None:
    offsets = column + SPREAD * swarm(values)
    panel.plot(
        offsets, values, "o", color=colour, markersize=4.5, alpha=0.6, markeredgewidth=0,
        zorder=5,
    )  # fmt: skip


def swarm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sideways places, -1 to 1, at which close values do not hide one another.

    Values are binned on the axis' own scale; those of a bin stand side by side, so the picture
    depends on nothing random.
    """
    scaled = np.arcsinh(values / LINEAR_WITHIN_MM3_PER_YEAR)
    places = np.zeros(values.size)
    if values.size < 2:
        return places
    height = max(float(np.ptp(scaled)) / 30, 1e-9)
    bins = np.floor(scaled / height)
    widest = max(int(np.unique(bins, return_counts=True)[1].max()), 6)
    for one in np.unique(bins):
        members = np.flatnonzero(bins == one)
        members = members[np.argsort(scaled[members], kind="stable")]
        places[members] = (np.arange(members.size) - (members.size - 1) / 2) * 2 / widest
    return places


def _draw_median(
    panel: Axes, column: int, statistics: pd.DataFrame, diagnosis: str, version: str
) -> None:
    row = statistics[
        (statistics["model_version"] == version)
        & (statistics["diagnosis"] == diagnosis)
        & (statistics["quantity"] == QUANTITY)
        & (statistics["statistic"] == "median")
    ]
    if row.empty or not np.isfinite(middle := float(row["estimate"].iloc[0])):
        return
    panel.hlines(middle, column - 0.4, column + 0.4, color=style.BLACK, linewidth=2.2, zorder=4)
    low, high = float(row["interval_low"].iloc[0]), float(row["interval_high"].iloc[0])
    if np.isfinite([low, high]).all():
        reach = [[middle - low], [high - middle]]
        panel.errorbar(
            column, middle, yerr=reach, color=style.BLACK, capsize=5, elinewidth=1.6, zorder=4
        )


def _draw_published(panel: Axes, published: pd.DataFrame, diagnosis: str) -> None:
    row = published[
        (published["diagnosis"] == diagnosis)
        & (published["quantity"] == QUANTITY)
        & (published["statistic"] == "median")
    ]
    for value in row["published"].dropna():
        panel.axhline(value, color=style.GREEN, linestyle=(0, (5, 2)), linewidth=1.4, zorder=3)


def _label(panel: Axes, diagnosis: str, changes: pd.DataFrame, versions: list[str]) -> None:
    group = changes[changes["diagnosis"] == diagnosis]
    counts = group.groupby("model_version")[QUANTITY].count()
    names = [f"{version}\nn = {counts.get(version, 0)}" for version in versions]
    panel.set_xticks(range(len(versions)), names)
    panel.set_xlim(-0.6, len(versions) - 0.4)
    panel.tick_params(axis="x", length=0, labelsize=8.5)
    panel.axhline(0, color="0.6", linewidth=0.8, zorder=1)
    panel.grid(axis="y", color="0.92", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.set_title(diagnosis)
    if counts.sum() == 0:
        panel.text(0.5, 0.5, "no remission interval", transform=panel.transAxes, ha="center")


def _fit_y(panel: Axes) -> None:
    from matplotlib.ticker import FixedLocator

    panel.set_yscale("symlog", linthresh=LINEAR_WITHIN_MM3_PER_YEAR, linscale=0.8)
    panel.margins(y=0.08)
    steps = [30, 100, 300, 1000, 3000, 10_000, 30_000]
    panel.yaxis.set_major_locator(FixedLocator([-step for step in steps[::-1]] + [0, *steps]))
    style.label_thousands(panel.yaxis)


def _legend(statistics: pd.DataFrame) -> list[object]:
    from matplotlib.lines import Line2D

    levels = statistics["interval_level"].dropna()
    interval = f", {levels.iloc[0]:.0%} interval" if len(levels) else ""
    return [
        Line2D([], [], color=style.GREY, marker="o", linestyle="", label="participant"),
        Line2D([], [], color=style.BLACK, linewidth=2.2, label=f"median{interval}"),
        Line2D([], [], color=style.GREEN, linestyle=(0, (5, 2)), linewidth=1.4, label="published"),
    ]
