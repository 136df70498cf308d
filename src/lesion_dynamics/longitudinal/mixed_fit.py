"""Fit a mixed model with two optimisers, and refuse a fit that cannot be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.longitudinal.mixed_likelihood import (
    Floats,
    ParticipantSums,
    Solution,
    gradient,
    solve,
)

DEVIANCE_AGREEMENT = 1e-3
"""Two optimisers may differ by this much in the criterion; a likelihood ratio of 1.0005."""
EFFECT_AGREEMENT = 0.01
"""... and by this share of its standard error in every fixed effect."""
SINGULAR_BELOW = 1e-4
"""A diagonal element of theta below it is zero, as for lme4's ``isSingular``."""
_LARGEST_THETA = 1e4
Method = Literal["L-BFGS-B", "Nelder-Mead"]
METHODS: tuple[Method, ...] = ("L-BFGS-B", "Nelder-Mead")


class FitRefusedError(Exception):
    """The model cannot be fitted so that its numbers mean something; the text says why."""


@dataclass(frozen=True)
class MixedFit:
    """A fit that both optimisers agree on."""

    theta: Floats
    solution: Solution
    sums: ParticipantSums

    @property
    def random_deviations(self) -> Floats:
        """(q,) standard deviations of the random effects."""
        q = self.sums.random
        factor = np.zeros((q, q))
        factor[np.tril_indices(q)] = self.theta
        return np.asarray(self.solution.sigma * np.sqrt((factor**2).sum(axis=1)))


def fit_mixed(sums: ParticipantSums) -> MixedFit:
    """Fit by L-BFGS-B and by Nelder-Mead, each from lme4's start.

    Raises
    ------
    FitRefusedError : an optimiser did not converge, the two disagree, or a variance is zero
        (singular: the data do not carry that random effect).
    """
    fits = [_minimise(sums, method) for method in METHODS]
    solutions = [solve(theta, sums) for theta in fits]
    gap = abs(solutions[0].deviance - solutions[1].deviance)
    if not gap <= DEVIANCE_AGREEMENT:
        raise FitRefusedError(f"two optimisers disagree: REML criteria differ by {gap:.2g}")
    best = int(np.argmin([solution.deviance for solution in solutions]))
    theta, solution = fits[best], solutions[best]
    diagonal = theta[np.cumsum(np.arange(1, sums.random + 1)) - 1]
    if (diagonal < SINGULAR_BELOW).any():
        raise FitRefusedError("singular: a variance of the random effects is estimated as zero")
    error = solution.sigma * np.sqrt(np.diag(solution.unscaled))
    moved = np.abs(solutions[0].beta - solutions[1].beta) / error
    if not (moved <= EFFECT_AGREEMENT).all():
        raise FitRefusedError("two optimisers disagree on a fixed effect")
    return MixedFit(theta=theta, solution=solution, sums=sums)


def refit(fit: MixedFit, weights: Floats) -> Solution:
    """The same model with participants drawn ``weights`` times, from the fit's theta on.

    One optimiser; a singular draw stays in, since leaving it out would bias the bootstrap.

    Raises
    ------
    FitRefusedError : the optimiser did not converge.
    """
    theta = _minimise(fit.sums, "L-BFGS-B", weights=weights, start=fit.theta)
    return solve(theta, fit.sums, weights)


def _minimise(
    sums: ParticipantSums,
    method: Method,
    *,
    weights: Floats | None = None,
    start: Floats | None = None,
) -> Floats:
    rows, columns = np.tril_indices(sums.random)
    diagonal = rows == columns
    begin = diagonal.astype(np.float64) if start is None else start
    theta, value = _descend(sums, method, weights, begin, diagonal)
    stuck = diagonal & (theta < SINGULAR_BELOW)
    if method == "L-BFGS-B" and stuck.any():
        # The criterion is even in a diagonal element: at zero its slope is zero, also where
        # zero is a ridge. Seen from aside it is either left or found again.
        aside = np.where(stuck, 0.3 * max(float(np.abs(theta).max()), 1.0), theta)
        again, other = _descend(sums, method, weights, aside, diagonal)
        theta = again if other < value else theta
    return theta


def _descend(
    sums: ParticipantSums,
    method: Method,
    weights: Floats | None,
    begin: Floats,
    diagonal: NDArray[np.bool_],
) -> tuple[Floats, float]:
    """Theta at a minimum of the criterion, and the criterion there."""
    from scipy.optimize import minimize

    bounds = [(0.0 if on else -_LARGEST_THETA, _LARGEST_THETA) for on in diagonal]
    options: Any = {"ftol": 1e-11, "gtol": 1e-5, "maxiter": 500}
    if method == "Nelder-Mead":
        # From scipy's own simplex, flat where theta starts at zero, it can end at a bound.
        corners = np.vstack([begin, begin + np.diag(np.where(diagonal, 1.0, 0.5))])
        options = {"fatol": 1e-8, "xatol": 1e-6, "maxiter": 4000, "initial_simplex": corners}
    with_gradient = method == "L-BFGS-B"

    def criterion(theta: Floats) -> Any:
        found = solve(theta, sums, weights)
        if not np.isfinite(found.deviance):
            return (1e12, np.zeros_like(theta)) if with_gradient else 1e12
        slope = gradient(theta, sums, found, weights) if with_gradient else None
        return found.deviance if slope is None else (found.deviance, slope)

    try:
        with np.errstate(all="ignore"):
            result = minimize(
                criterion, begin, jac=with_gradient or None, method=method, bounds=bounds,
                options=options,
            )  # fmt: skip
    except np.linalg.LinAlgError:
        raise FitRefusedError("the fixed effects cannot be told apart") from None
    # An abnormal line search at the optimum is rounding; the agreement of two optimisers decides.
    abnormal = with_gradient and "ABNORMAL" in str(result.message).upper()
    if not (result.success or abnormal) or result.fun >= 1e12:
        raise FitRefusedError(f"{method} did not converge: {result.message}")
    return np.asarray(result.x, dtype=np.float64), float(result.fun)
