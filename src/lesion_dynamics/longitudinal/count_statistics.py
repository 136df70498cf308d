"""Rows of the statistics table on new lesions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.count_model import CountFit, fit_counts
from lesion_dynamics.longitudinal.estimate import MINIMUM_PARTICIPANTS, Estimate, too_few
from lesion_dynamics.longitudinal.mixed_fit import FitRefusedError
from lesion_dynamics.longitudinal.model_design import covariate_columns
from lesion_dynamics.longitudinal.new_lesions import NewLesions
from lesion_dynamics.longitudinal.study import BETWEEN, SECONDARY, Row
from lesion_dynamics.settings.study import StudySettings

NEW_LESIONS = "new_lesions_per_year"
_KEYS = (
    *((name, NEW_LESIONS, "negative-binomial rate", "1/year") for name in DIAGNOSES),
    (BETWEEN, NEW_LESIONS, "rate ratio", ""),
)


def count_rows(
    new: NewLesions, participants: pd.DataFrame, settings: StudySettings
) -> Iterator[Row]:
    """New lesions per year by diagnosis, at the mean of the covariates, and their ratio."""
    rows = new.counts.merge(participants, on="participant_id")
    nmosd = np.asarray(rows["diagnosis"] == DIAGNOSES[1], dtype=np.float64)
    sizes = (int((1 - nmosd).sum()), int(nmosd.sum()), len(rows))
    try:
        if rows.empty and new.note:
            raise FitRefusedError(new.note)
        if min(sizes) < MINIMUM_PARTICIPANTS:
            raise FitRefusedError(f"one diagnosis has {too_few(min(sizes))}")
        fit, note = _fit(rows, nmosd, settings)
    except FitRefusedError as refused:
        for key, n in zip(_KEYS, sizes, strict=True):
            yield Row(*key, Estimate(n=n, note=f"not fitted: {refused}"), SECONDARY)
        return
    note = "; ".join(part for part in (new.note, note) if part)
    combinations = np.zeros((3, fit.coefficients.size))
    combinations[0, 0] = combinations[1, 1] = 1
    combinations[2, :2] = 1, -1
    for key, row, n in zip(_KEYS, combinations, sizes, strict=True):
        tested = key[0] == BETWEEN
        estimate = _exponential(fit, row, n=n, tested=tested, level=settings.interval_level)
        yield Row(*key, estimate.noted(note), SECONDARY)


def _fit(
    rows: pd.DataFrame, nmosd: np.ndarray[tuple[int], np.dtype[np.float64]], settings: StudySettings
) -> tuple[CountFit, str]:
    main = np.column_stack([1 - nmosd, nmosd])
    # Scanners change between sessions; a count over years has none of its own.
    wanted = [name for name in settings.models.covariates if name != "scanner"]
    found = covariate_columns(rows, wanted, main=main)
    centred = found.columns - np.nanmean(found.columns, axis=0, keepdims=True)
    design = np.column_stack([main, centred])[found.usable]
    counts = rows["new_lesions"].to_numpy(dtype=np.float64)[found.usable]
    return fit_counts(
        counts, rows["years"].to_numpy(dtype=np.float64)[found.usable], design
    ), found.note


def _exponential(
    fit: CountFit,
    combination: np.ndarray[tuple[int], np.dtype[np.float64]],
    *,
    n: int,
    tested: bool,
    level: float,
) -> Estimate:
    from scipy.stats import norm

    value = float(combination @ fit.coefficients)
    error = float(np.sqrt(combination @ fit.covariance @ combination))
    reach = float(norm.ppf((1 + level) / 2)) * error
    found = Estimate(estimate=float(np.exp(value)), n=n).with_interval(
        float(np.exp(value - reach)),
        float(np.exp(value + reach)),
        level=level,
        method="Wald, log rate",
    )
    if not tested:
        return found
    p_value = float(2 * norm.sf(abs(value) / error))
    return replace(found, p_value=p_value, test="negative-binomial model, Wald")
