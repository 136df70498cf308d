"""Charts of the comparison: estimates in the order of release, and Bland-Altman plots."""

from __future__ import annotations

import math
import re

import pandas as pd

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.measurements import TRUTH
from lesion_dynamics.longitudinal.study import BETWEEN
from lesion_dynamics.report.html.answer import (
    CHANGE,
    PACE,
    figure,
    p_words,
    row_of,
    unit_text,
    with_interval,
)
from lesion_dynamics.report.html.panel import (
    Line,
    Mark,
    Panel,
    Scale,
    Who,
    Words,
    reach,
    tick_text,
)
from lesion_dynamics.report.html.results import records

_FIRST = "first_lesion_volume_mm3"
ESTIMATES = (
    (BETWEEN, PACE, "shift", "Difference in annualised change, MS less NMOSD", "mm³/year"),
    (BETWEEN, PACE, "Cliff's delta", "Cliff's delta of annualised change", "Cliff's delta"),
    ("MS", CHANGE, "pseudomedian", "MS: typical change in remission", "mm³"),
    ("NMOSD", CHANGE, "pseudomedian", "NMOSD: typical change in remission", "mm³"),
    ("MS", PACE, "median", "MS: annualised change, median", "mm³/year"),
    ("NMOSD", PACE, "median", "NMOSD: annualised change, median", "mm³/year"),
    ("MS", _FIRST, "median", "MS: lesion volume at the first scan, median", "mm³"),
    ("NMOSD", _FIRST, "median", "NMOSD: lesion volume at the first scan, median", "mm³"),
)
AGREEMENTS = {
    _FIRST: "Lesion volume at the first scan (mm³)",
    CHANGE: "Change in remission (mm³)",
    PACE: "Annualised change (mm³/year)",
}


def release_panel(
    statistics: pd.DataFrame,
    published: pd.DataFrame,
    versions: list[str],
    estimate: tuple[str, str, str, str, str],
) -> Panel:
    """One estimate of every model version, in the order of release.

    Parameters
    ----------
    statistics : of all model versions, the truth among them or not.
    estimate : an entry of `ESTIMATES`.
    """
    diagnosis, quantity, statistic, title, unit = estimate
    own = {name: _row(statistics, name, estimate) for name in [*versions, TRUTH]}
    printed = published[
        (published["diagnosis"] == diagnosis)
        & (published["quantity"] == quantity)
        & (published["statistic"] == statistic)
    ]["published"].dropna()
    truth = own.pop(TRUTH)
    panel = Panel(
        f"release-{diagnosis}-{quantity}-{statistic}".replace(" ", "-"),
        title,
        f"{title} with intervals for {len(versions)} model versions in the order of release.",
        y_label=unit,
        x_label="Model version, in the order of release",
        height=300,
    )
    ends = [
        float(row[column])
        for row in own.values()
        if row is not None
        for column in ("estimate", "interval_low", "interval_high")
    ]
    true = [] if truth is None else [float(truth["estimate"])]
    low, high = reach([*ends, *printed, *true], least=(0.0, 0.1))
    room = (high - low) * 0.08
    y = panel.y_scale(low - (room if low < 0 else 0), high + room)
    panel.y_ticks = y.ticks()
    panel.across(y(0), "zero")
    for value in printed:
        panel.across(y(float(value)), "published", f"Published: {tick_text(value)} {unit}")
    if truth is not None and math.isfinite(true[0]):
        text = f"True: {figure(true[0], str(truth['unit']))} {unit}"
        panel.across(y(true[0]), "true", text)
    step = (panel.plot_right - panel.left) / len(versions)
    every = max(1, math.ceil(len(versions) / 12))
    css = "between" if diagnosis == BETWEEN else diagnosis
    for number, (name, row) in enumerate(own.items()):
        at = panel.left + step * (number + 0.5)
        if number % every == 0 or number == len(versions) - 1:
            panel.x_ticks.append((at, _short(name, len(versions))))
        _draw_estimate(panel, y, at, name, row, css)
    return panel


def _draw_estimate(
    panel: Panel, y: Scale, at: float, name: str, row: pd.Series | None, css: str
) -> None:
    """Mark and interval of one model version; filled where its p-value is below the level."""
    if row is None or math.isnan(float(row["estimate"])):
        panel.words.append(Words(at, panel.plot_bottom - 8, "none", css="empty small"))
        return
    low_end, high_end = float(row["interval_low"]), float(row["interval_high"])
    if math.isfinite(low_end) and math.isfinite(high_end):
        panel.lines.append(Line(((at, y(low_end)), (at, y(high_end))), f"interval {css}"))
    p_value = float(row["p_value"])
    alpha = 1 - float(row["interval_level"]) if row["interval_level"] else 0.05
    tested = "" if math.isnan(p_value) else f", {p_words(p_value, alpha)}"
    label = f"{name}: {with_interval(row)}{tested}, n = {int(row['n'])}"
    state = "open" if p_value >= alpha else "filled"
    shape = "square" if math.isnan(p_value) else "circle"
    place = y(float(row["estimate"]))
    panel.marks.append(Mark(at, place, f"estimate {css} {state}", label, shape=shape))


def _row(
    statistics: pd.DataFrame, version: str, estimate: tuple[str, str, str, str, str]
) -> pd.Series | None:
    return row_of(statistics[statistics["model_version"] == version], *estimate[:3])


def _short(version: str, count: int) -> str:
    """The whole name of a few versions, the numbers alone of many."""
    if count <= 2 and len(version) <= 24:
        return version
    numbers = re.sub(r"[^/+]+/(\d+)", r"v\1", version)
    return numbers if numbers != version else version[:10]


def agreement_panels(
    changes: pd.DataFrame,
    agreement: pd.DataFrame,
    pair: tuple[str, str],
    who: dict[str, Who],
    *,
    key: str,
) -> list[Panel]:
    """Bland-Altman plots of two model versions: a panel a quantity and diagnosis.

    Parameters
    ----------
    changes : `change_per_participant` of all versions. agreement : `AGREEMENT_COLUMNS`.
    pair : reference and other. key : start of the panels' ids.
    """
    sides = [changes[changes["model_version"] == name] for name in pair]
    rows = agreement[(agreement["reference"] == pair[0]) & (agreement["model_version"] == pair[1])]
    panels = []
    for quantity in AGREEMENTS:
        for diagnosis in DIAGNOSES:
            own = sides[0].loc[sides[0]["diagnosis"] == diagnosis, ["participant_id", quantity]]
            both = own.merge(sides[1][["participant_id", quantity]], on="participant_id").dropna()
            found = rows[(rows["quantity"] == quantity) & (rows["diagnosis"] == diagnosis)]
            panels.append(_bland_altman(both, found, pair, quantity, diagnosis, who, key=key))
    return panels


def _bland_altman(
    both: pd.DataFrame,
    found: pd.DataFrame,
    pair: tuple[str, str],
    quantity: str,
    diagnosis: str,
    who: dict[str, Who],
    *,
    key: str,
) -> Panel:
    title = AGREEMENTS[quantity]
    unit = "mm3/year" if quantity == PACE else "mm3"
    axis_unit = unit.replace("mm3", "mm³")
    panel = Panel(
        f"{key}-{diagnosis}-{quantity}",
        f"{diagnosis}, n = {len(both)}: {title}",
        f"Bland-Altman plot for {diagnosis}: {pair[1]} less {pair[0]} against the mean of both.",
        diagnosis=diagnosis,
        x_label=f"Mean of both versions ({axis_unit})",
        y_label=f"Difference ({axis_unit})",
        height=280,
    )
    first, second = (both.iloc[:, at].to_numpy(dtype=float) for at in (1, 2))
    means, gaps = (first + second) / 2, second - first
    limits = [float(v) for name in ("limit_low", "limit_high") for v in found[name].dropna()]
    low, high = reach([*gaps, *limits], least=(-1.0, 1.0))
    left, right = reach(means, least=(0.0, 1.0))
    room = (high - low) * 0.06
    x, y = panel.x_scale(left, right * 1.04), panel.y_scale(low - room, high + room)
    panel.x_ticks, panel.y_ticks = x.ticks(), y.ticks()
    panel.across(y(0), "zero")
    for row in records(found[found["bias"].notna()]):
        text = f"Bias {figure(float(row['bias']), unit)} {unit_text(unit)}"
        panel.across(y(float(row["bias"])), "median thin", text)
        for limit in (float(row["limit_low"]), float(row["limit_high"])):
            panel.across(y(limit), "limit", f"95% limit {figure(limit, unit)} {unit_text(unit)}")
    for name, mean, gap in zip(both["participant_id"], means, gaps, strict=True):
        label = f"{name}: difference {figure(float(gap), unit)}, mean {figure(float(mean), unit)}"
        label += f" {unit_text(unit)}"
        css = f"point {diagnosis}"
        panel.marks.append(Mark(x(float(mean)), y(float(gap)), css, label, who.get(str(name))))
    if both.empty:
        panel.say_empty("no participant measured by both")
    return panel
