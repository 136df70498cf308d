"""Test and interval of a linear combination of fixed effects of a mixed model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lesion_dynamics.longitudinal.mixed_fit import MixedFit
from lesion_dynamics.longitudinal.mixed_likelihood import Floats, solve

STEP = 3e-3
"""Of the numerical derivatives, relative to the parameter; errors are of its square."""


@dataclass(frozen=True)
class Contrast:
    """A linear combination of fixed effects: value, standard error, degrees of freedom, p."""

    value: float
    error: float
    degrees: float
    p_value: float

    def interval(self, level: float) -> tuple[float, float]:
        """Symmetric interval from Student's t."""
        from scipy.stats import t

        reach = float(t.ppf((1 + level) / 2, self.degrees)) * self.error
        return self.value - reach, self.value + reach


def contrasts(fit: MixedFit, combinations: Floats) -> list[Contrast]:
    """Contrasts of the fixed effects, with Satterthwaite's degrees of freedom.

    Parameters
    ----------
    combinations : (k, p), a row a contrast.

    The variance of a contrast is a function of (theta, sigma); its own variance follows from
    the Hessian of the REML criterion (delta method).

    Source: Kuznetsova, Brockhoff and Christensen, lmerTest, J Stat Softw 2017;82(13), 2.2;
    Giesbrecht and Burns, Biometrics 1985;41:477-486.
    """
    from scipy.stats import t

    solution = fit.solution
    parameters = np.append(fit.theta, solution.sigma)
    covariance = _inverse(_hessian(fit, parameters)) * 2
    gradients = _variance_gradients(fit, parameters, combinations)
    found = []
    for row, gradient in zip(combinations, gradients, strict=True):
        variance = float(row @ solution.unscaled @ row) * solution.sigma**2
        degrees = 2 * variance**2 / float(gradient @ covariance @ gradient)
        value, error = float(row @ solution.beta), float(np.sqrt(variance))
        p_value = float(2 * t.sf(abs(value) / error, degrees))
        found.append(Contrast(value=value, error=error, degrees=degrees, p_value=p_value))
    return found


def _criterion(fit: MixedFit, parameters: Floats) -> float:
    """REML criterion with sigma as a parameter of its own."""
    theta, sigma = parameters[:-1], parameters[-1]
    at = solve(theta, fit.sums)
    spread = at.degrees * np.log(2 * np.pi * sigma**2)
    return float(spread + at.log_determinants + at.residual / sigma**2)


def _steps(parameters: Floats) -> Floats:
    return np.asarray(STEP * np.maximum(np.abs(parameters), 0.01))


def _hessian(fit: MixedFit, parameters: Floats) -> Floats:
    size, steps = parameters.size, _steps(parameters)
    hessian = np.empty((size, size))
    for i in range(size):
        for j in range(i + 1):
            total = 0.0
            for sign_i in (-1, 1):
                for sign_j in (-1, 1):
                    moved = parameters.copy()
                    moved[i] += sign_i * steps[i]
                    moved[j] += sign_j * steps[j]
                    total += sign_i * sign_j * _criterion(fit, moved)
            hessian[i, j] = hessian[j, i] = total / (4 * steps[i] * steps[j])
    return hessian


def _inverse(hessian: Floats) -> Floats:
    """Inverse on the directions of positive curvature, as lmerTest takes it."""
    values, vectors = np.linalg.eigh(hessian)
    positive = values > 1e-8 * values.max()
    return np.asarray((vectors[:, positive] / values[positive]) @ vectors[:, positive].T)


def _variance_gradients(fit: MixedFit, parameters: Floats, combinations: Floats) -> Floats:
    """(k, parameters) derivatives of the variance of each contrast."""
    gradients = np.empty((len(combinations), parameters.size))
    for i, step in enumerate(_steps(parameters)):
        ends = []
        for sign in (1, -1):
            moved = parameters.copy()
            moved[i] += sign * step
            unscaled = solve(moved[:-1], fit.sums).unscaled * moved[-1] ** 2
            ends.append(np.einsum("ki,ij,kj->k", combinations, unscaled, combinations))
        gradients[:, i] = (ends[0] - ends[1]) / (2 * step)
    return gradients
