"""Quantiles of annualised change given diagnosis and covariates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.longitudinal.estimate import Estimate
from lesion_dynamics.longitudinal.participant_bootstrap import FEWEST_DRAWS_KEPT, bca_interval

Floats = NDArray[np.float64]
SCANS_PER_COEFFICIENT = 5
"""Participants in the smaller tail that a coefficient needs (a rule of thumb)."""


def quantile_coefficients(response: Floats, design: Floats, quantile: float) -> Floats:
    """(p,) coefficients that minimise the check loss; NaN where the programme is not solved.

    Solved exactly as a linear programme (HiGHS): iterations of weighted least squares, as in
    statsmodels, cycle where many changes are zero or tied.

    Source: Koenker and Bassett, Econometrica 1978;46:33-50.
    """
    from scipy.optimize import linprog

    n, p = design.shape
    scale = float(np.abs(response).max()) or 1.0
    cost = np.concatenate([np.zeros(p), np.full(n, quantile), np.full(n, 1 - quantile)])
    equal = np.hstack([design, np.eye(n), -np.eye(n)])
    bounds = [(None, None)] * p + [(0, None)] * (2 * n)
    result = linprog(cost, A_eq=equal, b_eq=response / scale, bounds=bounds, method="highs")
    if not result.success or result.x is None:
        return np.full(p, np.nan)
    return np.asarray(result.x[:p]) * scale


def quantile_effect(
    response: Floats,
    design: Floats,
    *,
    quantile: float,
    column: int,
    strata: NDArray[np.bool_],
    draws: int,
    level: float,
    seed: int,
) -> Estimate:
    """One coefficient with a BCa interval over participants drawn within ``strata``.

    No p: in samples of this size no quantile-regression test keeps its level with ties.

    Edge cases: a tail with fewer than `SCANS_PER_COEFFICIENT` participants a coefficient:
    nothing is computed.
    """
    n, p = design.shape
    if n * min(quantile, 1 - quantile) < SCANS_PER_COEFFICIENT * p / 2:
        return Estimate(n=n, note=f"{n} participants: too few for {p} coefficients")
    found = Estimate(estimate=float(quantile_coefficients(response, design, quantile)[column]), n=n)
    if draws == 0 or not np.isfinite(found.estimate):
        return found.noted("" if np.isfinite(found.estimate) else "the programme is not solved")
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(strata), np.flatnonzero(~strata)]
    drawn = np.empty(draws)
    for i in range(draws):
        rows = np.concatenate([rng.choice(group, group.size) for group in groups])
        drawn[i] = quantile_coefficients(response[rows], design[rows], quantile)[column]
    kept = drawn[np.isfinite(drawn)]
    if kept.size < FEWEST_DRAWS_KEPT * draws:
        return found.noted(f"{draws - kept.size} of {draws} draws not solved: no interval")
    rest = [np.delete(np.arange(n), one) for one in range(n)]
    jackknife = np.array(
        [quantile_coefficients(response[rows], design[rows], quantile)[column] for rows in rest]
    )
    low, high, method = bca_interval(found.estimate, kept, jackknife, level=level)
    return found.with_interval(low, high, level=level, method=method)
