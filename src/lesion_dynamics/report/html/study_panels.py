"""Charts of one model version: trajectories and annualised change, every participant visible."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.change import DAYS_PER_YEAR
from lesion_dynamics.report.annualised_change import LINEAR_WITHIN_MM3_PER_YEAR
from lesion_dynamics.report.html.answer import PACE, figure, row_of, with_interval
from lesion_dynamics.report.html.panel import Line, Mark, Panel, Scale, reach, tick_text
from lesion_dynamics.report.html.people import People
from lesion_dynamics.report.html.results import records

LINEAR_BELOW_MM3 = 100.0
_APART, _STEP, _NEIGHBOURS = 9.5, 3.0, 400


def trajectory_panels(
    people: People, intervals: pd.DataFrame, changes: pd.DataFrame
) -> list[Panel]:
    """Lesion volume over years, a panel a diagnosis.

    Parameters
    ----------
    intervals, changes : rows of one model version.
    """
    years = people.scans["days_from_baseline"].astype(float) / DAYS_PER_YEAR
    last = reach(years, least=(0.0, 1.0))[1]
    highest = reach(people.scans["lesion_volume_mm3"], least=(0.0, LINEAR_BELOW_MM3))[1]
    panels = []
    for diagnosis in DIAGNOSES:
        who = {key for key, one in people.who.items() if one.diagnosis == diagnosis}
        own = people.scans[people.scans["participant_id"].isin(who)]
        count = own["participant_id"].nunique()
        panel = Panel(
            f"trajectories-{diagnosis}",
            f"{diagnosis}, n = {count}",
            f"Lesion volume of {count} participants with {diagnosis} over years since the first"
            " scan, on an axis that is linear below 100 mm³ and logarithmic above.",
            diagnosis=diagnosis,
            x_label="Years since the first scan",
            y_label="Lesion volume (mm³)",
        )
        x = panel.x_scale(0, last * 1.03)
        y = panel.y_scale(0, highest * 1.25, LINEAR_BELOW_MM3)
        panel.x_ticks, panel.y_ticks = x.ticks(), y.ticks()
        _intervals(panel, intervals[intervals["participant_id"].isin(who)], people, x, y)
        _scans(panel, own, people, x, y)
        _attacks(panel, own, people, x, y)
        _medians(panel, changes[changes["diagnosis"] == diagnosis], x, y)
        if not count:
            panel.say_empty("no participant")
        panels.append(panel)
    return panels


def _intervals(panel: Panel, rows: pd.DataFrame, people: People, x: Scale, y: Scale) -> None:
    for row in records(rows):
        places = tuple(
            (x(float(day) / DAYS_PER_YEAR), y(float(volume)))
            for day, volume in (
                (row["start_days"], row["start_lesion_volume_mm3"]),
                (row["end_days"], row["end_lesion_volume_mm3"]),
            )
        )
        steady = str(row["is_remission"]) == "True"
        css = f"course {panel.diagnosis}" if steady else "course other"
        panel.lines.append(Line(places, css, people.who.get(str(row["participant_id"]))))


def _scans(panel: Panel, own: pd.DataFrame, people: People, x: Scale, y: Scale) -> None:
    for row in records(own):
        year, volume = (
            float(row["days_from_baseline"]) / DAYS_PER_YEAR,
            float(row["lesion_volume_mm3"]),
        )
        label = (
            f"{row['participant_id']} {row['session_id']}: {figure(volume, 'mm3')} mm³ after"
            f" {year:.1f} years"
        )
        who = people.who.get(str(row["participant_id"]))
        label += f", {who.scanner}" if who else ""
        panel.marks.append(
            Mark(x(year), y(volume), f"point {panel.diagnosis}", label, who, size=3.2)
        )


def _attacks(panel: Panel, own: pd.DataFrame, people: People, x: Scale, y: Scale) -> None:
    """On the line between the scans before and after; attacks outside the scans are not drawn."""
    scans = {str(name): scans for name, scans in own.groupby("participant_id")}
    for row in records(people.attacks):
        day = float(row["days_from_baseline"])
        if str(row["participant_id"]) not in scans or not math.isfinite(day):
            continue
        mine = scans[str(row["participant_id"])].sort_values("days_from_baseline")
        days = mine["days_from_baseline"].to_numpy(dtype=float)
        if not days[0] <= day <= days[-1]:
            continue
        heights = [y(float(volume)) for volume in mine["lesion_volume_mm3"]]
        at = float(np.interp(day, days, heights))
        label = f"{row['participant_id']}: attack after {day / DAYS_PER_YEAR:.1f} years"
        who = people.who.get(str(row["participant_id"]))
        place = x(day / DAYS_PER_YEAR)
        panel.marks.append(Mark(place, at, "attack", label, who, "triangle", 5))


def _medians(panel: Panel, group: pd.DataFrame, x: Scale, y: Scale) -> None:
    """First and last volume of those with two scans or more: median, and quartiles as bars."""
    several = group[group["session_count"].astype(float) > 1]
    if several.empty:
        return
    last_year = float(several["follow_up_years"].astype(float).median())
    places = []
    for year, end in ((0.0, "first"), (last_year, "last")):
        volumes = several[f"{end}_lesion_volume_mm3"].to_numpy(dtype=float)
        low, middle, high = (float(q) for q in np.quantile(volumes, [0.25, 0.5, 0.75]))
        at = x(year)
        places.append((at, y(middle)))
        panel.lines.append(Line(((at, y(low)), (at, y(high))), "median thin"))
        label = (
            f"Median of the {end} scans of {len(several)} participants: {figure(middle, 'mm3')}"
            f" mm³, quartiles {figure(low, 'mm3')} to {figure(high, 'mm3')} mm³"
        )
        panel.marks.append(Mark(at, y(middle), "median", label, size=5))
    panel.lines.append(Line(tuple(places), "median"))


def change_panels(
    people: People,
    changes: pd.DataFrame,
    statistics: pd.DataFrame,
    published: pd.DataFrame,
    true: pd.DataFrame,
) -> list[Panel]:
    """Annualised change in remission, a panel a diagnosis, the medians beside the points.

    Parameters
    ----------
    changes, statistics : rows of one model version. true : statistics of the truth, or empty.
    published : table of `longitudinal.side_by_side.published_figures`.
    """
    low, high = reach(changes[PACE].astype(float), least=(-100.0, 100.0))
    panels = []
    for diagnosis in DIAGNOSES:
        own = changes[(changes["diagnosis"] == diagnosis) & changes[PACE].notna()]
        panel = Panel(
            f"change-{diagnosis}",
            f"{diagnosis}, n = {len(own)}",
            f"Annualised change of lesion volume in remission of {len(own)} participants with"
            f" {diagnosis}; each point is a participant, the bar the median with its interval.",
            diagnosis=diagnosis,
            y_label="Change (mm³/year)",
            height=360,
            bottom=52,
        )
        y = panel.y_scale(low * 1.3, high * 1.3, LINEAR_WITHIN_MM3_PER_YEAR)
        panel.y_ticks = y.ticks()
        panel.across(y(0), "zero")
        middle = panel.left + 0.40 * (panel.plot_right - panel.left)
        _cloud(panel, own, people, y, middle)
        beside = panel.left + 0.78 * (panel.plot_right - panel.left)
        panel.x_ticks = [(middle, "participants"), (beside, "median")]
        _estimate(panel, row_of(statistics, diagnosis, PACE, "median"), beside, y)
        _references(panel, published, true, diagnosis, y)
        if own.empty:
            panel.say_empty("no remission interval")
        panels.append(panel)
    return panels


def _cloud(panel: Panel, own: pd.DataFrame, people: People, y: Scale, middle: float) -> None:
    values = [float(value) for value in own[PACE]]
    room = 0.36 * (panel.plot_right - panel.left)
    offsets = sideways([y(value) for value in values], room=room)
    for row, value, off in zip(records(own), values, offsets, strict=True):
        who = people.who.get(str(row["participant_id"]))
        label = (
            f"{row['participant_id']}: {figure(float(value), 'mm3/year')} mm³ a year over"
            f" {float(row['remission_years']):.1f} years of remission"
        )
        label += f", {who.scanner}" if who else ""
        css = f"point {panel.diagnosis}"
        panel.marks.append(Mark(middle + float(off), y(float(value)), css, label, who))


def sideways(heights: list[float], *, room: float) -> list[float]:
    """Places beside the middle, pixels, at which no point of `Mark`'s size hides another.

    From the lowest point up, each goes to the free place that is nearest to the middle. Where
    the room to one side is not enough, all are drawn closer together.
    """
    placed: list[tuple[float, float]] = []
    found = [0.0] * len(heights)
    for index in sorted(range(len(heights)), key=lambda at: (heights[at], at)):
        near = [(x, y) for x, y in placed[-_NEIGHBOURS:] if heights[index] - y < _APART]
        step = 0
        while any(math.hypot(_offset(step) - x, heights[index] - y) < _APART for x, y in near):
            step += 1
        found[index] = _offset(step)
        placed.append((found[index], heights[index]))
    widest = max((abs(place) for place in found), default=0.0)
    return [place * min(1.0, room / widest) if widest else place for place in found]


def _offset(step: int) -> float:
    """0, then to the right and left in turn."""
    return (step + 1) // 2 * _STEP * (1 if step % 2 else -1)


def _estimate(panel: Panel, row: pd.Series | None, at: float, y: Scale) -> None:
    if row is None or math.isnan(float(row["estimate"])):
        return
    low, high = float(row["interval_low"]), float(row["interval_high"])
    middle = y(float(row["estimate"]))
    panel.lines.append(Line(((at - 26, middle), (at + 26, middle)), "median"))
    if math.isfinite(low) and math.isfinite(high):
        panel.lines.append(Line(((at, y(low)), (at, y(high))), "median thin"))
        for end in (low, high):
            panel.lines.append(Line(((at - 8, y(end)), (at + 8, y(end))), "median thin"))
    panel.marks.append(Mark(at, middle, "median", f"Median: {with_interval(row)}", size=5))


def _references(
    panel: Panel, published: pd.DataFrame, true: pd.DataFrame, diagnosis: str, y: Scale
) -> None:
    row = published[
        (published["diagnosis"] == diagnosis)
        & (published["quantity"] == PACE)
        & (published["statistic"] == "median")
    ]
    for value in row["published"].dropna():
        panel.across(y(float(value)), "published", f"Published: {tick_text(value)} mm³ a year")
    known = row_of(true, diagnosis, PACE, "median") if len(true) else None
    if known is not None and math.isfinite(float(known["estimate"])):
        value = float(known["estimate"])
        panel.across(y(value), "true", f"True: {figure(value, 'mm3/year')} mm³ a year")
