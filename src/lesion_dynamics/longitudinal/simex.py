"""Estimates of annualised change, freed of the segmenter's bias and noise.

SIMEX adds noise in growing amounts, follows the statistic, and extrapolates it back to none.
Every statistic here rests on the signs of pairs (is this difference, or this mean of two changes,
above x?), and of a sign with normal noise the expectation is known. So no noise is drawn: the
curve over added noise is exact, and a polynomial of higher order can be afforded.

Source: Cook and Stefanski, J Am Stat Assoc 1994;89:1314-1328.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.longitudinal.participant_bootstrap import deltas, pseudomedians, shifts

Floats = NDArray[np.float64]
Statistic = Callable[[Floats, Floats], Floats]
SMALLEST_LEVEL = 0.25
LOCATION_ORDER = 2
"""Noise levels of pseudomedians and shifts at most: their curve over the noise is nearly straight,
and more levels cost variance and take no more bias away (docs/statistics.md)."""
_GRID = 400
_TAILS = (0.002, 0.998)
_HALVINGS = 60


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


DELTA = "Cliff's delta"
STATISTICS: dict[str, Statistic] = {
    "MS": _of_ms,
    "NMOSD": _of_nmosd,
    "shift": shifts,
    DELTA: deltas,
}
"""The uncorrected statistics of (draws, n) changes."""


@dataclass(frozen=True)
class _Pairs:
    """Pairs of participants: (k,) value, standard deviation of its noise, and who is paired."""

    values: Floats
    noise: Floats
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    within: bool

    def weights(self, first_counts: Floats, second_counts: Floats) -> Floats:
        """(draws, k) times each pair occurs where participants occur ``counts`` times."""
        product = first_counts[:, self.first] * second_counts[:, self.second]
        if not self.within:
            return product
        # Someone drawn c times makes c (c + 1) / 2 pairs with the same measurement.
        alone = self.first == self.second
        counts = first_counts[:, self.first[alone]]
        product[:, alone] = counts * (counts + 1) / 2
        return product


def _pairs(rates: Rates, name: str) -> _Pairs:
    if name in ("MS", "NMOSD"):
        values, noise = (
            (rates.ms, rates.ms_noise) if name == "MS" else (rates.nmosd, rates.nmosd_noise)
        )
        first, second = np.triu_indices(values.size)
        apart = np.hypot(noise[first], noise[second]) / 2
        return _Pairs(
            values=(values[first] + values[second]) / 2,
            noise=np.where(first == second, noise[first], apart),
            first=first, second=second, within=True,
        )  # fmt: skip
    first, second = (index.ravel() for index in np.indices((rates.ms.size, rates.nmosd.size)))
    return _Pairs(
        values=rates.ms[first] - rates.nmosd[second],
        noise=np.hypot(rates.ms_noise[first], rates.nmosd_noise[second]),
        first=first, second=second, within=False,
    )  # fmt: skip


def noise_levels(order: int) -> tuple[float, ...]:
    """Added noise variance in multiples of the segmenter's own: 1/4, 1, 2, ..., order - 1.

    The first is not 0: the bare sign of a measured difference is the term that varies most.
    Order 1: (0.0,), nothing is added and nothing is extrapolated.
    """
    return (0.0,) if order == 1 else (SMALLEST_LEVEL, *map(float, range(1, order)))


def _weights(levels: tuple[float, ...]) -> list[float]:
    """Weights of the levels in the polynomial through them, read off at -1 (Lagrange)."""
    if levels == (0.0,):
        return [1.0]
    return [
        prod((-1 - other) / (own - other) for other in levels if other != own) for own in levels
    ]


def noise_free_sign(distance: Floats, noise: Floats, *, order: int) -> Floats:
    """What stands for the sign of a ``distance`` measured with ``noise`` (standard deviation).

    With noise of variance level x noise^2 added, the sign is on average
    2 Phi(distance / (noise sqrt(level))) - 1; the polynomial of degree order - 1 through
    `noise_levels` is read off at -1. Without noise: the sign.
    """
    from scipy.special import ndtr

    sign = np.sign(distance)
    if order == 1:
        return sign
    noisy = noise > 0
    ratio = np.divide(distance, noise, out=np.zeros_like(distance), where=noisy)
    levels = noise_levels(order)
    total = np.zeros_like(distance)
    for level, weight in zip(levels, _weights(levels), strict=True):
        total += weight * (2 * ndtr(ratio / np.sqrt(level)) - 1)
    return np.where(noisy, total, sign)


def simex(rates: Rates, name: str, *, order: int) -> float:
    """One of `STATISTICS`, extrapolated to no noise by a polynomial of degree ``order`` - 1.

    order : 1: nothing is extrapolated. More levels leave less bias and cost variance;
        pseudomedians and shifts take `LOCATION_ORDER` at most.

    Assumes noise that is normal, without bias (calibrated before), independent between scans
    and of the size given. Pseudomedians and shifts are where the corrected share of pairs above
    is that below. Cliff's delta may pass 1 where noise is large against the differences.
    """
    pairs = _pairs(rates, name)
    if name == DELTA:
        return float(noise_free_sign(pairs.values, pairs.noise, order=order).mean())
    order = min(order, LOCATION_ORDER)

    def above(x: float) -> float:
        return float(noise_free_sign(pairs.values - x, pairs.noise, order=order).sum())

    reach = 5 * float(pairs.noise.max(initial=0.0)) + 1.0
    ends = float(pairs.values.min()) - reach, float(pairs.values.max()) + reach
    # An even number of pairs without noise leaves a gap: its middle is the median.
    return (_last(lambda x: above(x) > 0, *ends) + _last(lambda x: above(x) >= 0, *ends)) / 2


def _last(holds: Callable[[float], bool], low: float, high: float) -> float:
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return (low + high) / 2


def simex_draws(
    rates: Rates, name: str, *, order: int, draws: int, rng: np.random.Generator
) -> Floats:
    """(draws,) corrected statistics of participants drawn anew within each diagnosis."""
    counts = [
        rng.multinomial(size, np.full(size, 1 / size), draws).astype(np.float64)
        for size in (rates.ms.size, rates.nmosd.size)
    ]
    pairs = _pairs(rates, name)
    chosen = {"MS": (0, 0), "NMOSD": (1, 1)}.get(name, (0, 1))
    weights = pairs.weights(counts[chosen[0]], counts[chosen[1]])
    if name == DELTA:
        signs = noise_free_sign(pairs.values, pairs.noise, order=order)
        return np.asarray(weights @ signs / weights.sum(axis=1))
    order = min(order, LOCATION_ORDER)
    low, high = (float(end) for end in np.quantile(pairs.values, _TAILS))
    grid = np.linspace(low, high, _GRID)
    distances = pairs.values[:, None] - grid
    spread = np.broadcast_to(pairs.noise[:, None], distances.shape)
    above = weights @ noise_free_sign(distances, spread, order=order)
    return _lengths_above(above, grid)


def _lengths_above(above: Floats, grid: Floats) -> Floats:
    """Where each row of (draws, grid) values falls through zero.

    The start of the grid and the length over which the values are positive: the crossing, also
    where the extrapolated curve is not quite monotone (rearranged; Chernozhukov, Fernandez-Val
    and Galichon, Biometrika 2009;96:559-575).
    """
    left, right = above[:, :-1], above[:, 1:]
    top, span = np.maximum(left, right), np.abs(left - right)
    share = np.where(span > 0, top / np.where(span > 0, span, 1), top > 0)
    return np.asarray(grid[0] + (grid[1] - grid[0]) * np.clip(share, 0, 1).sum(axis=1))
