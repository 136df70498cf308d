"""Estimates of annualised change, freed of the segmenter's bias and noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.longitudinal.participant_bootstrap import deltas, pseudomedians, shifts

Floats = NDArray[np.float64]
Statistic = Callable[[Floats, Floats], Floats]
LAMBDAS = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Added noise variance in multiples of the segmenter's own."""
COPIES_IN_BOOTSTRAP = 8
"""Noisy copies of a bootstrap draw; their average noise adds little to that of participants."""


@dataclass(frozen=True)
class Rates:
    """Calibrated annualised changes (n,), mm3/year, and the standard deviation of their noise."""

    ms: Floats
    nmosd: Floats
    ms_noise: Floats
    nmosd_noise: Floats


def _of_ms(ms: Floats, _nmosd: Floats) -> Floats:
    return pseudomedians(ms)


def _of_nmosd(_ms: Floats, nmosd: Floats) -> Floats:
    return pseudomedians(nmosd)


STATISTICS: dict[str, Statistic] = {
    "MS": _of_ms,
    "NMOSD": _of_nmosd,
    "shift": shifts,
    "Cliff's delta": deltas,
}


def simex(rates: Rates, statistic: Statistic, *, draws: int, rng: np.random.Generator) -> float:
    """The statistic extrapolated to no noise.

    Noise is added in growing amounts, the statistic is averaged over ``draws`` copies at each,
    and a parabola through the averages is read off at minus one times the segmenter's noise.

    Assumes noise that is normal, without bias (calibrated before), independent between scans
    and of the size given; the parabola under-corrects when noise is large against the spread
    of the changes.

    Source: Cook and Stefanski, J Am Stat Assoc 1994;89:1314-1328.
    """
    rows = (
        np.broadcast_to(np.arange(rates.ms.size), (draws, rates.ms.size)),
        np.broadcast_to(np.arange(rates.nmosd.size), (draws, rates.nmosd.size)),
    )
    # The extrapolation is linear in the averages: each copy may be extrapolated on its own.
    return float(_simex_of(rates, rows, statistic, copies=1, rng=rng).mean())


def simex_draws(
    rates: Rates, statistic: Statistic, *, draws: int, rng: np.random.Generator
) -> Floats:
    """(draws,) corrected statistics of participants drawn anew within each diagnosis."""
    rows = (
        rng.integers(0, rates.ms.size, (draws, rates.ms.size)),
        rng.integers(0, rates.nmosd.size, (draws, rates.nmosd.size)),
    )
    return _simex_of(rates, rows, statistic, copies=COPIES_IN_BOOTSTRAP, rng=rng)


def _simex_of(
    rates: Rates,
    rows: tuple[NDArray[np.int64], NDArray[np.int64]],
    statistic: Statistic,
    *,
    copies: int,
    rng: np.random.Generator,
) -> Floats:
    values = (rates.ms[rows[0]], rates.nmosd[rows[1]])
    spreads = (rates.ms_noise[rows[0]], rates.nmosd_noise[rows[1]])
    means = []
    # The same noise at every level: the parabola sees the level, not another draw.
    noise = [rng.standard_normal((copies, *value.shape)) for value in values]
    for level in LAMBDAS:
        total = np.zeros(len(values[0]))
        for copy in range(copies if level else 1):
            noisy = [
                value + np.sqrt(level) * spread * own[copy]
                for value, spread, own in zip(values, spreads, noise, strict=True)
            ]
            total += statistic(noisy[0], noisy[1])
        means.append(total / (copies if level else 1))
    design = np.vander(LAMBDAS, 3)
    coefficients = np.linalg.lstsq(design, np.asarray(means), rcond=None)[0]
    at_no_noise: Floats = (np.vander([-1.0], 3) @ coefficients)[0]
    return at_no_noise
