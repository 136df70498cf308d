"""The study's estimates of annualised change, freed of the segmenter's bias and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.longitudinal.deconvolution import Measured, true_changes
from lesion_dynamics.longitudinal.simex import STATISTICS, Rates, simex, simex_draws

Floats = NDArray[np.float64]
_DRAWS, _FEWEST_DRAWS, _DRAWS_OF_A_RESAMPLE = 2000, 40, 8
"""Draws of true changes: of the cohort, of a large one (whose draws differ less), and of each
resample, whose average scatters by itself."""
_PAIRS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Corrected:
    """estimate : of one statistic. resampled : (draws,) of participants drawn anew, or empty."""

    estimate: float
    resampled: Floats


def deconvolved(
    rates: Rates, loads: tuple[Floats, Floats], *, draws: int, seed: int
) -> dict[str, Corrected]:
    """Each of `STATISTICS`, averaged over draws of the participants' true changes.

    Parameters
    ----------
    rates : calibrated annualised changes and their noise. loads : (n,) calibrated mean lesion
        volumes of MS and of NMOSD, mm3.
    draws : of participants, within each diagnosis; in each the distribution is fitted anew.
        0: no resampling.
    """
    rng = np.random.default_rng(seed)
    groups = [
        Measured(changes[None], noise[None], load[None])
        for changes, noise, load in (
            (rates.ms, rates.ms_noise, loads[0]),
            (rates.nmosd, rates.nmosd_noise, loads[1]),
        )
    ]
    pairs = max(rates.ms.size, rates.nmosd.size) ** 2
    many = max(_FEWEST_DRAWS, min(_DRAWS, _PAIRS_AT_ONCE // max(1, pairs)))
    whole = _averages([true_changes(group, draws=many, rng=rng) for group in groups])
    if draws == 0:
        return {name: Corrected(float(value[0]), np.empty(0)) for name, value in whole.items()}
    again = []
    for group in groups:
        n = group.changes.shape[1]
        own = group.of(rng.integers(0, n, (draws, n)))
        again.append(true_changes(own, draws=_DRAWS_OF_A_RESAMPLE, rng=rng))
    resampled = _averages(again)
    return {name: Corrected(float(value[0]), resampled[name]) for name, value in whole.items()}


def _averages(drawn: list[Floats]) -> dict[str, Floats]:
    """Each statistic of (cohorts, draws, n) true changes of MS and of NMOSD, (cohorts,)."""
    cohorts, draws, _ = drawn[0].shape
    flat = [group.reshape(cohorts * draws, -1) for group in drawn]
    return {
        name: np.asarray(statistic(*flat).reshape(cohorts, draws).mean(axis=1))
        for name, statistic in STATISTICS.items()
    }


def extrapolated(rates: Rates, *, order: int, draws: int, seed: int) -> dict[str, Corrected]:
    """Each of `STATISTICS` by SIMEX of ``order``; ``draws`` of participants, 0: none."""
    found = {}
    for name in STATISTICS:
        drawn = np.empty(0)
        if draws:
            rng = np.random.default_rng(seed)
            drawn = simex_draws(rates, name, order=order, draws=draws, rng=rng)
        found[name] = Corrected(simex(rates, name, order=order), drawn)
    return found
