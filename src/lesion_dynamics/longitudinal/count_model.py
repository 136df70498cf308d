"""Rate of new lesions: a negative-binomial model of counts over years of follow-up."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.longitudinal.mixed_fit import FitRefusedError

Floats = NDArray[np.float64]
LARGEST_SIZE = 1e4
"""A larger theta is a Poisson distribution: counts show no overdispersion to estimate."""
_GRADIENT_TOLERANCE = 1e-5


@dataclass(frozen=True)
class CountFit:
    """Coefficients of the log rate, their covariance, theta (variance = m + m^2 / theta)."""

    coefficients: Floats
    covariance: Floats
    theta: float
    log_likelihood: float


def _poisson_start(counts: Floats, years: Floats, design: Floats) -> Floats:
    """Poisson coefficients and a dispersion of moments; refuses counts without overdispersion."""
    from statsmodels.discrete.discrete_model import Poisson

    poisson = Poisson(counts, design, offset=np.log(years)).fit(disp=0)
    mean = years * np.exp(design @ poisson.params)
    # Its sign is that of the likelihood's slope in the dispersion, from zero on.
    excess = float(((counts - mean) ** 2 - counts).sum())
    if excess <= 0:
        raise FitRefusedError("counts are not overdispersed: theta has no finite estimate")
    return np.append(poisson.params, max(excess / float((mean**2).sum()), 1e-3))


def fit_counts(counts: Floats, years: Floats, design: Floats) -> CountFit:
    """Maximum likelihood of log E[count] = design @ beta + log(years), NB2.

    The covariance takes theta as given (expected information), as MASS::glm.nb does.

    Raises
    ------
    FitRefusedError : not converged, no overdispersion, or no count above zero.

    Source: Venables and Ripley, Modern Applied Statistics with S, 4th ed., 7.4.
    """
    from statsmodels.discrete.discrete_model import NegativeBinomial
    from statsmodels.tools.sm_exceptions import ConvergenceWarning, HessianInversionWarning

    if not counts.any():
        raise FitRefusedError("no new lesion in anybody")
    begin = _poisson_start(counts, years, design)
    model = NegativeBinomial(counts, design, offset=np.log(years))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", HessianInversionWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            result = model.fit(start_params=begin, method="bfgs", maxiter=500, disp=0, gtol=1e-9)
            result = model.fit(start_params=result.params, method="newton", maxiter=50, disp=0)
            score = model.score(result.params)
        except np.linalg.LinAlgError as error:
            raise FitRefusedError(f"not converged: {error}") from None
    dispersion = float(result.params[-1])
    if dispersion <= 1 / LARGEST_SIZE:
        raise FitRefusedError("counts are not overdispersed: theta has no finite estimate")
    if not np.abs(score).max() <= _GRADIENT_TOLERANCE * max(1.0, counts.sum()):
        raise FitRefusedError("not converged: the gradient is not zero")
    coefficients = np.asarray(result.params[:-1], dtype=np.float64)
    mean = years * np.exp(design @ coefficients)
    weight = mean / (1 + dispersion * mean)
    information = (design * weight[:, None]).T @ design
    return CountFit(
        coefficients=coefficients,
        covariance=np.asarray(np.linalg.inv(information), dtype=np.float64),
        theta=1 / dispersion,
        log_likelihood=float(result.llf),
    )


def refit_counts(fit: CountFit, counts: Floats, years: Floats, design: Floats) -> Floats:
    """(p,) coefficients of other participants; NaN where the fit is refused.

    Newton from ``fit``: near a solution the long way from a Poisson model is not needed.
    """
    from statsmodels.discrete.discrete_model import NegativeBinomial

    refused = np.full(design.shape[1], np.nan)
    if not counts.any():
        return refused
    model = NegativeBinomial(counts, design, offset=np.log(years))
    begin = np.append(fit.coefficients, 1 / fit.theta)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            found = model.fit(
                start_params=begin, method="newton", maxiter=50, disp=0, skip_hessian=True
            ).params
            score = model.score(found)
        except (np.linalg.LinAlgError, ValueError):
            return refused
    small = np.abs(score).max() <= _GRADIENT_TOLERANCE * max(1.0, counts.sum())
    if not (small and found[-1] > 1 / LARGEST_SIZE):
        return refused
    return np.asarray(found[:-1], dtype=np.float64)
