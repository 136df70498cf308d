"""Rows of the statistics table on new lesions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.count_model import CountFit, fit_counts, refit_counts
from lesion_dynamics.longitudinal.estimate import MINIMUM_PARTICIPANTS, Estimate, too_few
from lesion_dynamics.longitudinal.mixed_fit import FitRefusedError
from lesion_dynamics.longitudinal.model_design import covariate_columns
from lesion_dynamics.longitudinal.new_lesions import NewLesions
from lesion_dynamics.longitudinal.participant_bootstrap import bca_interval
from lesion_dynamics.longitudinal.study import BETWEEN, SECONDARY, SENSITIVITY, Row
from lesion_dynamics.settings.study import StudySettings

Floats = NDArray[np.float64]
NEW_LESIONS = "new_lesions_per_year"
RESAMPLED_UP_TO = 1000
"""Participants; above, refits take minutes and the model's own interval is as good."""
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
        fit, model = _fit(rows, nmosd, settings)
    except FitRefusedError as refused:
        for key, n in zip(_KEYS, sizes, strict=True):
            estimate = Estimate(n=n, note=f"not fitted: {refused}").noted(new.left_out)
            yield Row(*key, estimate, SECONDARY)
        return
    note = "; ".join(part for part in (new.note, new.left_out, model.note) if part)
    combinations = np.zeros((3, fit.coefficients.size))
    combinations[0, 0] = combinations[1, 1] = 1
    combinations[2, :2] = 1, -1
    found = []
    for key, row, n in zip(_KEYS, combinations, sizes, strict=True):
        tested = key[0] == BETWEEN
        estimate = _exponential(fit, row, n=n, tested=tested, level=settings.interval_level)
        found.append(estimate)
        yield Row(*key, estimate.noted(note), SECONDARY)
    if settings.models.bootstrap_draws and len(rows) <= RESAMPLED_UP_TO:
        again = _resampled(fit, model, combinations, found, settings)
        for key, estimate in zip(_KEYS, again, strict=True):
            yield Row(*key, estimate, SENSITIVITY)


@dataclass(frozen=True)
class _Model:
    """What was fitted: (n,) counts and years, (n, p) design; note: covariates left out."""

    counts: Floats
    years: Floats
    design: Floats
    note: str


def _resampled(
    fit: CountFit, model: _Model, combinations: Floats, found: list[Estimate],
    settings: StudySettings,
) -> Iterator[Estimate]:  # fmt: skip
    """The estimates with BCa intervals over participants drawn within each diagnosis."""
    rng = np.random.default_rng(settings.seed)
    ms = model.design[:, 0] == 1
    groups = [np.flatnonzero(ms), np.flatnonzero(~ms)]
    samples = [
        np.concatenate([rng.choice(group, group.size) for group in groups])
        for _ in range(settings.models.bootstrap_draws)
    ]
    everyone = np.arange(ms.size)
    samples += [np.delete(everyone, left_out) for left_out in everyone]
    logs = np.array(
        [
            combinations
            @ refit_counts(fit, model.counts[rows], model.years[rows], model.design[rows])
            for rows in samples
        ]
    )
    drawn, jackknife = logs[: -ms.size], logs[-ms.size :]
    failed = int(np.isnan(drawn[:, 0]).sum())
    level = settings.interval_level
    for column, estimate in enumerate(found):
        # On the log scale, which is nearer to normal.
        low, high, method = bca_interval(
            math.log(estimate.estimate), drawn[:, column], jackknife[:, column], level=level
        )
        plain = replace(estimate, p_value=math.nan, test="")
        note = f"{failed} of {len(drawn)} draws could not be fitted" if failed else ""
        ends = math.exp(low), math.exp(high)
        yield plain.with_interval(*ends, level=level, method=method).noted(note)


def _fit(
    rows: pd.DataFrame, nmosd: np.ndarray[tuple[int], np.dtype[np.float64]], settings: StudySettings
) -> tuple[CountFit, _Model]:
    main = np.column_stack([1 - nmosd, nmosd])
    # Scanners change between sessions; a count over years has none of its own.
    wanted = [name for name in settings.models.covariates if name != "scanner"]
    found = covariate_columns(rows, wanted, main=main)
    centred = found.columns - np.nanmean(found.columns, axis=0, keepdims=True)
    design = np.column_stack([main, centred])[found.usable]
    model = _Model(
        counts=rows["new_lesions"].to_numpy(dtype=np.float64)[found.usable],
        years=rows["years"].to_numpy(dtype=np.float64)[found.usable],
        design=design,
        note=found.note,
    )
    return fit_counts(model.counts, model.years, model.design), model


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
