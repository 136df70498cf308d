"""The statistics table of one model version: which estimate is computed of which quantity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.between import cliffs_delta, shift
from lesion_dynamics.longitudinal.estimate import Estimate
from lesion_dynamics.longitudinal.medians import median
from lesion_dynamics.longitudinal.paired import pseudomedian
from lesion_dynamics.longitudinal.resampled_estimates import (
    between_resampled,
    pseudomedian_resampled,
)
from lesion_dynamics.longitudinal.signed_rank import ZERO_METHODS, ZeroMethod
from lesion_dynamics.settings.study import StudySettings

BETWEEN = " vs ".join(DIAGNOSES)
PRIMARY = "primary"
SECONDARY = "secondary"
"""Another quantity or model, tested and reported in its own right."""
SENSITIVITY = "sensitivity"
"""The same estimate by another method."""

STATISTICS_COLUMNS = (
    "model_version",
    "diagnosis",
    "quantity",
    "statistic",
    "role",
    "estimate",
    "unit",
    "lower_quartile",
    "upper_quartile",
    "interval_low",
    "interval_high",
    "interval_level",
    "interval_method",
    "p_value",
    "p_value_holm",
    "family",
    "test",
    "zero_method",
    "n",
    "note",
)

_MEDIANS = {
    "follow_up_years": "years",
    "first_lesion_volume_mm3": "mm3",
    "last_lesion_volume_mm3": "mm3",
    "total_change_mm3": "mm3",
    "remission_years": "years",
    "remission_change_mm3": "mm3",
    "annualised_change_mm3_per_year": "mm3/year",
    "annualised_total_change_mm3_per_year": "mm3/year",
    "robust_slope_mm3_per_year": "mm3/year",
}
_OF_FOLLOWED = ("first_lesion_volume_mm3", "last_lesion_volume_mm3")
"""Medians of two ends of the same people: someone scanned once has no last volume."""
_RATES = (
    "annualised_change_mm3_per_year",
    "annualised_total_change_mm3_per_year",
    "robust_slope_mm3_per_year",
)
_CHANGES = ("total_change_mm3", "remission_change_mm3", *_RATES)
_BETWEEN = ("remission_change_mm3", *_RATES)
_SECONDARY = _RATES[1:]
"""Whatever happened in between; and all scans instead of the ends of intervals."""


@dataclass(frozen=True, slots=True)
class Row:
    """An estimate and what it estimates."""

    diagnosis: str
    quantity: str
    statistic: str
    unit: str
    estimate: Estimate
    role: str = PRIMARY


def study_statistics(
    changes: pd.DataFrame, *, model_version: str, settings: StudySettings
) -> pd.DataFrame:
    """All estimates of one model version, in `STATISTICS_COLUMNS`.

    ``changes`` is the table of `change_per_participant`. A participant without the quantity
    does not enter; ``n`` says how many did, and ``note`` how many could not.
    """
    rows = [row for diagnosis in DIAGNOSES for row in _within(changes, diagnosis, settings)]
    rows.extend(_between(changes, settings))
    return table_of(rows, model_version=model_version)


def table_of(rows: list[Row], *, model_version: str) -> pd.DataFrame:
    """Rows as a table in `STATISTICS_COLUMNS`."""
    records = []
    for row in rows:
        keys = {
            "model_version": model_version,
            "diagnosis": row.diagnosis,
            "quantity": row.quantity,
            "statistic": row.statistic,
            "role": row.role,
            "unit": row.unit,
        }
        tested = {"p_value_holm": float("nan"), "family": ""}
        records.append({**keys, **asdict(row.estimate), **tested})
    return pd.DataFrame.from_records(records, columns=list(STATISTICS_COLUMNS))


def _within(changes: pd.DataFrame, diagnosis: str, settings: StudySettings) -> Iterator[Row]:
    group = changes[changes["diagnosis"] == diagnosis]
    for quantity, unit, count in (
        ("participants", "participants", len(group)),
        ("sessions", "sessions", int(group["session_count"].sum())),
        (
            "participants_with_remission_interval",
            "participants",
            int((group["remission_interval_count"] > 0).sum()),
        ),
    ):
        counted = Estimate(estimate=float(count), n=len(group))
        yield Row(diagnosis, quantity, "count", unit, counted)
    for quantity, unit in _MEDIANS.items():
        values, note = _values(group, quantity)
        middle = median(
            values,
            level=settings.interval_level,
            draws=settings.bootstrap_draws,
            seed=settings.seed,
        )
        role = _role(quantity)
        yield Row(diagnosis, quantity, "median", unit, middle.noted(note), role)
    for quantity in _CHANGES:
        values, note = _values(group, quantity)
        for zero_method in _primary_first(settings.zero_method):
            typical = pseudomedian(values, zero_method=zero_method, level=settings.interval_level)
            unit = _MEDIANS[quantity]
            if zero_method == settings.zero_method:
                key = (diagnosis, quantity, "pseudomedian", unit)
                yield Row(*key, typical.noted(note), _role(quantity))
                yield Row(*key, pseudomedian_resampled(typical, values, settings), SENSITIVITY)
            else:
                yield Row(
                    diagnosis, quantity, "pseudomedian", unit, typical.noted(note), SENSITIVITY
                )


def _between(changes: pd.DataFrame, settings: StudySettings) -> Iterator[Row]:
    for quantity in _BETWEEN:
        found = [_values(changes[changes["diagnosis"] == name], quantity) for name in DIAGNOSES]
        (first, first_note), (second, second_note) = found
        notes = zip(DIAGNOSES, (first_note, second_note), strict=True)
        note = "; ".join(f"{name}: {text}" for name, text in notes if text)
        level = settings.interval_level
        moved = shift(first, second, level=level).noted(note)
        delta = cliffs_delta(first, second, level=level).noted(note)
        for statistic, unit, found_value in (
            ("shift", _MEDIANS[quantity], moved),
            ("Cliff's delta", "", delta),
        ):
            key = (BETWEEN, quantity, statistic, unit)
            yield Row(*key, found_value, _role(quantity))
            again = between_resampled(found_value, statistic, first, second, settings)
            yield Row(*key, again, SENSITIVITY)


def _role(quantity: str) -> str:
    return SECONDARY if quantity in _SECONDARY else PRIMARY


def _primary_first(primary: ZeroMethod) -> list[ZeroMethod]:
    return sorted(ZERO_METHODS, key=lambda zero_method: zero_method != primary)


def _values(group: pd.DataFrame, quantity: str) -> tuple[NDArray[np.float64], str]:
    column = group[quantity]
    if quantity in _OF_FOLLOWED:
        column = column.where(group["session_count"] > 1)
    values = column.to_numpy(dtype=np.float64)
    present = values[np.isfinite(values)]
    missing = values.size - present.size
    return present, f"{missing} of {values.size} participants without it" if missing else ""
