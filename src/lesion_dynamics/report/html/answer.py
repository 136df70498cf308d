"""The study's answer in two sentences with its uncertainty, and what its words mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.study import BETWEEN, SENSITIVITY
from lesion_dynamics.report.study_table import number_text, p_text

CHANGE = "remission_change_mm3"
PACE = "annualised_change_mm3_per_year"
_STRONG, _GOOD = 0.001, 0.01
_UNITS = {"mm3": "mm³", "mm3/year": "mm³ a year", "mm/year": "mm a year", "1/year": "a year"}


@dataclass(frozen=True)
class Answer:
    """within, between : the two sentences. remarks : what has to be read with them."""

    within: str
    between: str
    remarks: tuple[str, ...]


def row_of(
    statistics: pd.DataFrame, diagnosis: str, quantity: str, statistic: str
) -> pd.Series | None:
    """The main row of an estimate of one model version, or None."""
    found = statistics[
        (statistics["diagnosis"] == diagnosis)
        & (statistics["quantity"] == quantity)
        & (statistics["statistic"] == statistic)
        & (statistics["role"] != SENSITIVITY)
    ]
    return None if found.empty else found.iloc[0]


def answer(statistics: pd.DataFrame, *, level: float) -> Answer:
    """The answer of one model version.

    Parameters
    ----------
    statistics : `longitudinal.study.STATISTICS_COLUMNS` of one model version.
    level : coverage of the intervals; a p-value below 1 - level counts as shown, as it does
        for the verdicts between model versions.
    """
    alpha = 1 - level
    parts = [_within(statistics, name, alpha) for name in DIAGNOSES]
    within = (
        f"In remission, the lesion volume of people with {'; that of people with '.join(parts)}."
    )
    return Answer(within, _between(statistics, alpha), tuple(_corrected(statistics, alpha)))


def _within(statistics: pd.DataFrame, diagnosis: str, alpha: float) -> str:
    row = row_of(statistics, diagnosis, CHANGE, "pseudomedian")
    if row is None or math.isnan(float(row["estimate"])):
        return f"{diagnosis} has no change that can be estimated{_because(row)}"
    estimate = float(row["estimate"])
    pace = row_of(statistics, diagnosis, PACE, "median")
    a_year = "" if pace is None else f", a median of {with_interval(pace)}"
    if math.isnan(float(row["p_value"])):
        return (
            f"{diagnosis} changed by typically {with_interval(row, signed=True)}{a_year};"
            f" it was not tested{_because(row)}"
        )
    if float(row["p_value"]) < alpha:
        verb = "rose" if estimate > 0 else "fell"
        return (
            f"{diagnosis} {verb} by typically {with_interval(row, absolute=True)}{a_year}:"
            f" {evidence(float(row['p_value']), alpha, of='a change')}"
        )
    return (
        f"{diagnosis} showed no clear change, typically {with_interval(row, signed=True)}"
        f"{a_year} ({p_words(float(row['p_value']), alpha)})"
    )


def _between(statistics: pd.DataFrame, alpha: float) -> str:
    row = row_of(statistics, BETWEEN, PACE, "shift")
    if row is None or math.isnan(float(row["estimate"])):
        return (
            "Whether the annualised change differs between MS and NMOSD cannot be"
            f" estimated{_because(row)}."
        )
    p_value = float(row["p_value"])
    if math.isnan(p_value):
        return (
            f"The annualised change in MS less that in NMOSD is "
            f"{with_interval(row, signed=True)}; it was not tested{_because(row)}."
        )
    if p_value < alpha:
        word = "above" if float(row["estimate"]) > 0 else "below"
        return (
            f"The annualised change in MS lies {with_interval(row, absolute=True)} {word} that in"
            f" NMOSD: {evidence(p_value, alpha, of='a difference')}."
        )
    return (
        "A difference in annualised change between MS and NMOSD is not shown: MS less NMOSD is"
        f" {with_interval(row, signed=True)} ({p_words(p_value, alpha)}), so the data fit every"
        " difference in that interval."
    )


def _corrected(statistics: pd.DataFrame, alpha: float) -> list[str]:
    """Answers that the declared correction for several questions takes back."""
    asked = [(name, CHANGE, "pseudomedian") for name in DIAGNOSES] + [(BETWEEN, PACE, "shift")]
    found = []
    for key in asked:
        row = row_of(statistics, *key)
        if row is None:
            continue
        p_value, corrected = float(row["p_value"]), float(row["p_value_holm"])
        if p_value < alpha <= corrected:
            found.append(
                f"Corrected for the questions asked together ({row['family']}, Holm), the"
                f" evidence in {key[0]} is no longer enough ({p_words(corrected, alpha)})."
            )
    return found


def with_interval(row: pd.Series, *, signed: bool = False, absolute: bool = False) -> str:
    """``392 mm³ (95% interval 230 to 732)``; ``absolute`` turns a loss into its size."""
    values = [float(row[name]) for name in ("estimate", "interval_low", "interval_high")]
    if absolute and values[0] < 0:
        values = [-values[0], -values[2], -values[1]]
    texts = [figure(value, str(row["unit"])) for value in values]
    sign = "+" if signed and values[0] > 0 else ""
    unit = unit_text(str(row["unit"]))
    shown = f"{sign}{texts[0]} {unit}".strip()
    if not all(map(math.isfinite, values[1:])):
        return f"{shown} (no interval)"
    return f"{shown} ({row['interval_level']:.0%} interval {texts[1]} to {texts[2]})"


def evidence(p_value: float, alpha: float, *, of: str) -> str:
    """A p-value that counts as shown, in words and digits."""
    if p_value < _STRONG:
        word = "very strong evidence"
    elif p_value < _GOOD:
        word = "strong evidence"
    else:
        word = "some evidence" if p_value < alpha * 0.8 else "borderline evidence"
    return f"{word} of {of} ({p_words(p_value, alpha)})"


def p_words(p_value: float, alpha: float) -> str:
    """``p = 0.012``, ``p < 0.001``; more digits where three would round onto the border."""
    text = p_text(p_value)
    if text.startswith("<"):
        return f"p < {text[1:]}"
    if abs(float(text) - alpha) < 1e-9 and p_value != alpha:
        text = f"{p_value:.4f}"
    return f"p = {text}"


def figure(value: float, unit: str) -> str:
    """A number as the tables print it, with a true minus sign."""
    return number_text(value, unit=unit).replace("-", "−" if math.isfinite(value) else "-")


def unit_text(unit: str) -> str:
    """``mm³`` for ``mm3``."""
    return _UNITS.get(unit, unit)


def _because(row: pd.Series | None) -> str:
    note = "" if row is None else str(row["note"])
    return f" ({note})" if note else ""


def interval_note(level: float) -> str:
    """What an interval means, in plain words."""
    return (
        f"An interval at {level:.0%} is made so that, were the study repeated many times,"
        f" {level:.0%} of such intervals would hold the true value: read it as the values that"
        " the data fit."
    )


def p_note(level: float) -> str:
    """What a p-value means, in plain words."""
    return (
        "A p-value says how often a result at least as far from no effect would come about by"
        " chance alone if there were no effect; below"
        f" {1 - level:.2g} it counts as shown here. A large p-value is no proof of no effect."
    )
