"""Lesion volume over the years: every participant, by diagnosis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.change import DAYS_PER_YEAR
from lesion_dynamics.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Transform = Callable[[ArrayLike], NDArray[np.float64]]

LINEAR_BELOW_MM3 = 100.0
"""Linear below, logarithmic above: zero has a place, and 100 to 50,000 mm3 stay readable."""
LINEAR_SHARE = 0.6
"""Height of the linear part, in decades of the logarithmic one."""


def draw_trajectories(
    folder: Path,
    *,
    volumes: pd.DataFrame,
    intervals: pd.DataFrame,
    attacks: pd.DataFrame,
    changes: pd.DataFrame,
    model_version: str,
) -> tuple[Path, Path]:
    """Write ``trajectories.png`` and ``.svg``.

    Parameters
    ----------
    volumes : participant_id, session_id, days_from_baseline, lesion_volume_mm3.
    intervals : table of `longitudinal.change.interval_changes`.
    attacks : `CohortTables.attacks`; those without a date or outside the scans are not drawn.
    changes : table of `longitudinal.change.change_per_participant`.
    model_version : whose volumes these are; named in the title.
    """
    with style.house_style():
        figure = style.new_figure(width=10, height=5.2)
        panels = figure.subplots(1, len(DIAGNOSES), sharex=True, sharey=True)
        for panel, diagnosis in zip(panels, DIAGNOSES, strict=True):
            group = changes[changes["diagnosis"] == diagnosis]
            who = group["participant_id"]
            _draw_participants(
                panel,
                volumes[volumes["participant_id"].isin(who)],
                intervals[intervals["participant_id"].isin(who)],
                attacks[attacks["participant_id"].isin(who)],
                colour=style.DIAGNOSIS_COLOUR[diagnosis],
            )
            _draw_medians(panel, group)
            _label(panel, diagnosis, group)
        panels[0].set_ylabel("Lesion volume (mm³)")
        figure.suptitle(f"Lesion volume of every participant, {model_version}")
        _draw_legend(figure)
        return style.save(figure, folder, "trajectories")


def _draw_participants(
    panel: Axes,
    volumes: pd.DataFrame,
    intervals: pd.DataFrame,
    attacks: pd.DataFrame,
    *,
    colour: str,
) -> None:
    from matplotlib.collections import LineCollection

    years = intervals[["start_days", "end_days"]].to_numpy(dtype=float) / DAYS_PER_YEAR
    mm3 = intervals[["start_lesion_volume_mm3", "end_lesion_volume_mm3"]].to_numpy(dtype=float)
    segments = np.stack([years, mm3], axis=-1)
    remission = intervals["is_remission"].to_numpy(dtype=bool)
    other = LineCollection(
        list(segments[~remission]), colors=style.GREY, linestyles=(0, (3, 2)), linewidths=0.9
    )
    steady = LineCollection(list(segments[remission]), colors=colour, linewidths=0.9, alpha=0.75)
    panel.add_collection(other)
    panel.add_collection(steady)
    days = volumes["days_from_baseline"].to_numpy(dtype=float)
    measured = volumes["lesion_volume_mm3"].to_numpy(dtype=float)
    panel.plot(days / DAYS_PER_YEAR, measured, ".", color=colour, markersize=3.5, alpha=0.75)
    when, height = _on_the_lines(attacks, volumes)
    panel.plot(
        when, height, "v", color=style.ORANGE, markeredgecolor="black", markeredgewidth=0.5,
        markersize=6, zorder=4,
    )  # fmt: skip


def _on_the_lines(attacks: pd.DataFrame, volumes: pd.DataFrame) -> tuple[list[float], list[float]]:
    """Years and volumes at which attacks between two scans of a participant are drawn."""
    to_axis, from_axis = _axis_transforms()
    when: list[float] = []
    height: list[float] = []
    scans = dict(iter(volumes.groupby("participant_id")))
    for who, day in attacks[["participant_id", "days_from_baseline"]].itertuples(index=False):
        if who not in scans or not np.isfinite(day):
            continue
        own = scans[who].sort_values("days_from_baseline")
        days = own["days_from_baseline"].to_numpy(dtype=float)
        if days[0] <= day <= days[-1]:
            when.append(day / DAYS_PER_YEAR)
            scaled = np.interp(day, days, np.asarray(to_axis(own["lesion_volume_mm3"])))
            height.append(float(from_axis(scaled)))
    return when, height


def _axis_transforms() -> tuple[Transform, Transform]:
    """To the y axis and back: a line between two scans is straight on the axis, not in mm3."""
    from matplotlib.scale import SymmetricalLogScale

    scale = SymmetricalLogScale(None, linthresh=LINEAR_BELOW_MM3, linscale=LINEAR_SHARE)
    there = scale.get_transform()
    return there.transform, there.inverted().transform


def _draw_medians(panel: Axes, group: pd.DataFrame) -> None:
    """First and last volume of those with two scans or more: median, and quartiles as bars."""
    several = group[group["session_count"] > 1]
    if several.empty:
        return
    years = [0.0, float(several["follow_up_years"].median())]
    ends = several[["first_lesion_volume_mm3", "last_lesion_volume_mm3"]].to_numpy(dtype=float)
    lower, middle, upper = np.quantile(ends, [0.25, 0.5, 0.75], axis=0)
    panel.errorbar(
        years, middle, yerr=[middle - lower, upper - middle], color=style.BLACK, marker="o",
        markersize=6, linewidth=2.2, elinewidth=1.4, capsize=4, zorder=5,
    )  # fmt: skip


def _label(panel: Axes, diagnosis: str, group: pd.DataFrame) -> None:
    from matplotlib.ticker import FixedLocator

    panel.set_yscale("symlog", linthresh=LINEAR_BELOW_MM3, linscale=LINEAR_SHARE)
    panel.yaxis.set_major_locator(FixedLocator([0, 100, 300, 1000, 3000, 10_000, 30_000, 100_000]))
    style.label_thousands(panel.yaxis)
    highest = float(np.nanmax(panel.dataLim.intervaly)) if len(group) else LINEAR_BELOW_MM3
    if np.isfinite(highest):
        _low, top = panel.get_ylim()
        panel.set_ylim(-LINEAR_BELOW_MM3 / 6, max(top, highest * 1.3, LINEAR_BELOW_MM3))
    panel.grid(axis="y", color="0.92", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.set_xlabel("Years since the first scan")
    scanned = int((group["session_count"] > 0).sum())
    panel.set_title(f"{diagnosis} (n = {scanned})")
    if scanned == 0:
        panel.text(0.5, 0.5, "no participant", transform=panel.transAxes, ha="center")


def _draw_legend(figure: Figure) -> None:
    from matplotlib.legend_handler import HandlerTuple
    from matplotlib.lines import Line2D

    colours = [style.DIAGNOSIS_COLOUR[diagnosis] for diagnosis in DIAGNOSES]
    handles: list[Any] = [
        tuple(Line2D([], [], color=colour, linewidth=1.6) for colour in colours),
        Line2D([], [], color=style.GREY, linestyle=(0, (3, 2)), linewidth=1.2),
        Line2D(
            [],
            [],
            color=style.ORANGE,
            marker="v",
            linestyle="",
            markeredgecolor="black",
            markeredgewidth=0.5,
        ),
        Line2D([], [], color=style.BLACK, marker="o", linewidth=2.2),
    ]
    figure.legend(
        handles,
        ["remission interval", "other interval", "attack", "median, quartiles"],
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0.3)},
        loc="outside lower center",
        ncols=4,
    )  # fmt: skip
