"""Growth of transformed lesion volume by diagnosis: a mixed model, with a stated fallback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.cluster_robust import robust_contrasts
from lesion_dynamics.longitudinal.estimate import MINIMUM_PARTICIPANTS, Estimate, too_few
from lesion_dynamics.longitudinal.mixed_fit import FitRefusedError, MixedFit, fit_mixed, refit
from lesion_dynamics.longitudinal.mixed_likelihood import Floats, participant_sums
from lesion_dynamics.longitudinal.model_design import covariate_columns, transformed
from lesion_dynamics.longitudinal.participant_bootstrap import bca_interval
from lesion_dynamics.longitudinal.satterthwaite import contrasts
from lesion_dynamics.settings.models import ModelSettings

RANDOM_EFFECTS = ("random intercept and slope", "random intercept")
MINIMUM_SCANS = 3
"""At least one participant needs so many, or slope and residual cannot be told apart."""
BOOTSTRAPPED_UP_TO = 1000
"""Participants; above, a refit a draw takes minutes and the fit's own interval is as good."""


@dataclass(frozen=True)
class Growth:
    """Slopes by diagnosis and their difference, MS - NMOSD, per year on the model's scale.

    slopes : an estimate a diagnosis. difference : of the two. resampled : the three estimates
    with bootstrap intervals, in the same order, or empty.
    """

    slopes: tuple[Estimate, ...]
    difference: Estimate
    resampled: tuple[Estimate, ...]


@dataclass(frozen=True)
class _Design:
    response: Floats
    years: Floats
    nmosd: Floats
    covariates: Floats
    participant: np.ndarray[tuple[int], np.dtype[np.int64]]
    note: str

    @property
    def fixed(self) -> Floats:
        """Columns: 1, NMOSD, years in MS, years in NMOSD, covariates."""
        one, ms = np.ones(self.years.size), 1 - self.nmosd
        return np.column_stack(
            [one, self.nmosd, self.years * ms, self.years * self.nmosd, self.covariates]
        )


def growth(
    scans: pd.DataFrame,
    participants: pd.DataFrame,
    *,
    settings: ModelSettings,
    level: float,
    seed: int,
) -> Growth:
    """Fixed effects: years x diagnosis + covariates. Random: by participant.

    Parameters
    ----------
    scans : one remission stretch a participant (`longest_stretch`).
    participants : `CohortTables.participants`.

    The fallback, named in ``test`` and ``note``: random intercept and slope; when it is refused
    (`fit_mixed`) random intercept, tested with a sandwich variance over
    participants; when that is refused too, the mean of the participants' own least-squares
    slopes, with a BCa interval over participants and no p.

    Edge cases: a diagnosis with fewer than 3 participants: nothing is fitted.
    """
    rows = scans.merge(participants.drop(columns="scanner"), on="participant_id")
    counts = [rows.loc[rows["diagnosis"] == d, "participant_id"].nunique() for d in DIAGNOSES]
    if min(counts) < MINIMUM_PARTICIPANTS:
        nothing = Estimate(n=sum(counts), note=f"one diagnosis has {too_few(min(counts))}")
        return Growth(slopes=(nothing,) * len(DIAGNOSES), difference=nothing, resampled=())
    design = _design(rows, settings)
    refusals = [design.note] if design.note else []
    for random_effects in RANDOM_EFFECTS:
        try:
            fit = _fit(design, random_effects)
            return _from_fit(
                fit, random_effects, design, refusals, settings=settings, level=level, seed=seed
            )
        except FitRefusedError as refused:
            refusals.append(f"{random_effects} refused: {refused}")
    return _from_own_slopes(design, refusals, settings=settings, level=level, seed=seed)


def _design(rows: pd.DataFrame, settings: ModelSettings) -> _Design:
    nmosd = np.asarray(rows["diagnosis"] == DIAGNOSES[1], dtype=np.float64)
    years = rows["years"].to_numpy(dtype=np.float64)
    main = np.column_stack([np.ones(len(rows)), nmosd, years * (1 - nmosd), years * nmosd])
    found = covariate_columns(rows, settings.covariates, main=main)
    volumes = rows["lesion_volume_mm3"].to_numpy(dtype=np.float64)
    codes = pd.factorize(rows.loc[found.usable, "participant_id"])[0]
    return _Design(
        response=transformed(volumes, settings.transform)[found.usable],
        years=years[found.usable],
        nmosd=nmosd[found.usable],
        covariates=found.columns[found.usable],
        participant=codes.astype(np.int64),
        note=found.note,
    )


def _fit(design: _Design, random_effects: str) -> MixedFit:
    if np.bincount(design.participant).max() < MINIMUM_SCANS:
        raise FitRefusedError(f"nobody has {MINIMUM_SCANS} scans in a row in remission")
    columns = [np.ones(design.years.size), design.years]
    chosen = columns if random_effects == RANDOM_EFFECTS[0] else columns[:1]
    random = np.column_stack(chosen)
    return fit_mixed(participant_sums(design.response, design.fixed, random, design.participant))


def _from_fit(
    fit: MixedFit, random_effects: str, design: _Design, refusals: list[str],
    *, settings: ModelSettings, level: float, seed: int,
) -> Growth:  # fmt: skip
    combinations = np.zeros((3, fit.sums.fixed))
    combinations[0, 2] = combinations[1, 3] = 1
    combinations[2, 2:4] = 1, -1
    ms = int(np.unique(design.participant[design.nmosd == 0]).size)
    total = fit.sums.scans.size
    sizes = np.array([ms, total - ms, total], dtype=np.float64)
    if random_effects == RANDOM_EFFECTS[0]:
        method, tested = "Satterthwaite t", contrasts(fit, combinations)
    else:
        # Slopes differ, whatever the fit says: without their variance its own test rejected
        # three in ten true nulls (docs/statistics.md).
        method = "CR3 sandwich t"
        tested = robust_contrasts(fit, combinations, sizes - np.array([1.0, 1.0, 2.0]))
    test = f"mixed model with {random_effects} (REML), {method}"
    found = []
    for contrast, n in zip(tested, sizes.astype(int), strict=True):
        low, high = contrast.interval(level)
        estimate = Estimate(
            estimate=contrast.value, n=int(n), p_value=contrast.p_value, test=test,
            note="; ".join(refusals),
        )  # fmt: skip
        found.append(estimate.with_interval(low, high, level=level, method=method))
    resampled = _resampled(fit, combinations, found, settings=settings, level=level, seed=seed)
    return Growth(slopes=tuple(found[:2]), difference=found[2], resampled=resampled)


def _resampled(
    fit: MixedFit, combinations: Floats, estimates: list[Estimate],
    *, settings: ModelSettings, level: float, seed: int,
) -> tuple[Estimate, ...]:  # fmt: skip
    m = fit.sums.scans.size
    if settings.bootstrap_draws == 0 or m > BOOTSTRAPPED_UP_TO:
        return ()
    rng = np.random.default_rng(seed)
    # Within each diagnosis, so that no draw lacks one.
    nmosd = fit.sums.xyxy[:, 0, 1] > 0
    weights = np.zeros((settings.bootstrap_draws, m))
    for group in (~nmosd, nmosd):
        size = int(group.sum())
        weights[:, group] = rng.multinomial(size, np.full(size, 1 / size), settings.bootstrap_draws)
    draws = np.array([_contrasts_of(fit, row, combinations) for row in weights])
    one_less = 1 - np.eye(m)
    jackknife = np.array([_contrasts_of(fit, row, combinations) for row in one_less])
    failed = int(np.isnan(draws[:, 0]).sum())
    return tuple(_with_bootstrap(estimates, draws, jackknife, failed, level=level))


def _contrasts_of(fit: MixedFit, weights: Floats, combinations: Floats) -> Floats:
    try:
        return np.asarray(combinations @ refit(fit, weights).beta)
    except FitRefusedError:
        return np.full(len(combinations), np.nan)


def _with_bootstrap(
    estimates: list[Estimate], draws: Floats, jackknife: Floats, failed: int, *, level: float
) -> Iterator[Estimate]:
    for column, estimate in enumerate(estimates):
        low, high, method = bca_interval(
            estimate.estimate, draws[:, column], jackknife[:, column], level=level
        )
        plain = replace(estimate, p_value=float("nan"), test="")
        note = f"{failed} of {len(draws)} draws could not be fitted" if failed else ""
        yield plain.with_interval(low, high, level=level, method=method).noted(note)


def own_slopes(
    response: Floats, years: Floats, participant: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Floats:
    """(m,) least-squares slope of each participant's scans; NaN without two days."""
    count = np.bincount(participant)
    mean_years = np.bincount(participant, years) / count
    centred = years - mean_years[participant]
    spread = np.bincount(participant, centred**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.bincount(participant, centred * response) / spread)


def _from_own_slopes(
    design: _Design, refusals: list[str], *, settings: ModelSettings, level: float, seed: int
) -> Growth:
    slopes = own_slopes(design.response, design.years, design.participant)
    nmosd = np.bincount(design.participant, design.nmosd) > 0
    groups = [slopes[~nmosd], slopes[nmosd]]
    rng = np.random.default_rng(seed)
    draws = max(settings.bootstrap_draws, 500)
    means = [np.array([rng.choice(g, g.size).mean() for _ in range(draws)]) for g in groups]
    jackknives = [(g.sum() - g) / (g.size - 1) for g in groups]
    observed = [float(g.mean()) for g in groups]
    centred = [jackknives[0] - jackknives[0].mean(), jackknives[1].mean() - jackknives[1]]
    found = []
    for value, drawn, jackknife, n in (
        (observed[0], means[0], jackknives[0], groups[0].size),
        (observed[1], means[1], jackknives[1], groups[1].size),
        (observed[0] - observed[1], means[0] - means[1], np.concatenate(centred), slopes.size),
    ):
        low, high, method = bca_interval(value, drawn, jackknife, level=level)
        estimate = Estimate(estimate=value, n=int(n), note="; ".join(refusals))
        estimate = estimate.noted("mean of the participants' own slopes, no test")
        found.append(estimate.with_interval(low, high, level=level, method=method))
    return Growth(slopes=tuple(found[:2]), difference=found[2], resampled=())
