"""Tests of a mixed model's fixed effects that do not believe its variances.

The model takes one variance of the slopes and one of the residuals for everybody. In MS and
NMOSD they differ and have long tails, and its own test then rejects too often (docs/statistics.md
has the measured rates). The sandwich variance takes what the participants show instead.
"""

from __future__ import annotations

import numpy as np

from lesion_dynamics.longitudinal.mixed_fit import MixedFit
from lesion_dynamics.longitudinal.mixed_likelihood import Floats
from lesion_dynamics.longitudinal.satterthwaite import Contrast


def robust_contrasts(fit: MixedFit, combinations: Floats, degrees: Floats) -> list[Contrast]:
    """Contrasts of the fixed effects with the CR3 sandwich variance over participants.

    Parameters
    ----------
    combinations : (k, p), a row a contrast.
    degrees : (k,) of Student's t: participants that the contrast rests on, minus those used up.

    CR3 takes each participant's residual as if the model had been fitted without them, which
    keeps the test's level with few participants; it is a little conservative.

    Source: Bell and McCaffrey, Surv Methodol 2002;28:169-181; MacKinnon, Nielsen and Webb,
    J Appl Econom 2023;38:1001-1021.
    """
    from scipy.stats import t

    sums, solution, p = fit.sums, fit.solution, fit.sums.fixed
    factor = np.zeros((sums.random, sums.random))
    factor[np.tril_indices(sums.random)] = fit.theta
    inner = np.eye(sums.random) + factor.T @ sums.zz @ factor
    middle = factor @ np.linalg.inv(inner) @ factor.T
    # Of each participant: [X y]' V^-1 [X y].
    whitened = sums.xyxy - np.swapaxes(sums.zxy, 1, 2) @ middle @ sums.zxy
    own = whitened[:, :p, :p]
    scores = whitened[:, :p, p] - own @ solution.beta
    left_out = np.eye(p) - own @ solution.unscaled
    adjusted = np.linalg.solve(left_out, scores[:, :, None])[:, :, 0]
    meat = adjusted.T @ adjusted
    covariance = solution.unscaled @ meat @ solution.unscaled
    found = []
    for row, df in zip(combinations, degrees, strict=True):
        value, error = float(row @ solution.beta), float(np.sqrt(row @ covariance @ row))
        p_value = float(2 * t.sf(abs(value) / error, df)) if error > 0 else float("nan")
        found.append(Contrast(value=value, error=error, degrees=float(df), p_value=p_value))
    return found
