"""Bootstrap over participants: the draws, and intervals from them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""From (draws, n) values to (draws,) statistics."""

PairStatistic = Callable[[Floats, Floats], Floats]
"""The same of two groups."""

REMEMBERED = 512
"""Sets of draws kept: 40 MB at 10,000 draws."""
CHUNK_VALUES = 4_000_000
"""Values held at once: 32 MB."""
FEWEST_DRAWS_KEPT = 0.95
"""Share of draws in which the statistic must exist; below it there is no interval."""


def bca_interval(
    observed: float, draws: Floats, jackknife: Floats, *, level: float
) -> tuple[float, float, str]:
    """Interval and its method's name: BCa, or percentile where its correction is undefined.

    Parameters
    ----------
    observed : the statistic of the sample.
    draws : (k,) statistics of resamples; NaN where one could not be computed.
    jackknife : (n,) statistics with one participant left out.

    Returns
    -------
    (NaN, NaN, "") when too many draws failed (`FEWEST_DRAWS_KEPT`) or all are the same.

    Source: Efron, J Am Stat Assoc 1987;82:171-185; the share of draws below the estimate
    counts ties half, as scipy does.
    """
    from scipy.stats import norm

    kept = draws[np.isfinite(draws)]
    if kept.size < FEWEST_DRAWS_KEPT * draws.size or kept.size < 2 or np.ptp(kept) == 0:
        return float("nan"), float("nan"), ""
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    below = float((np.sum(kept < observed) + np.sum(kept <= observed)) / (2 * kept.size))
    pushed = jackknife.mean() - jackknife
    spread = float((pushed**2).sum())
    if not (0 < below < 1 and np.isfinite(spread) and spread > 0):
        low, high = np.quantile(kept, tails)
        return float(low), float(high), "bootstrap percentile"
    bias = float(norm.ppf(below))
    acceleration = float((pushed**3).sum() / (6 * spread**1.5))
    z = bias + norm.ppf(tails)
    corrected = norm.cdf(bias + z / (1 - acceleration * z))
    low, high = np.quantile(kept, corrected)
    return float(low), float(high), "bootstrap BCa"


def resampled(
    statistic: Statistic, values: Floats, *, draws: int, seed: int
) -> tuple[Floats, Floats]:
    """(draws,) statistics of resamples of ``values`` and (n,) with one left out.

    Remembered: the study and the comparisons of model versions ask for the same ones. The same
    ``seed`` draws the same participants for every quantity and version.
    """
    return _resampled(statistic, values.tobytes(), draws, seed)


def drawn_rows(n: int, draws: int, seed: int, group: int = 0) -> NDArray[np.int64]:
    """(draws, n) participants drawn with replacement: the same for every quantity and version.

    group : 0 or 1, of two that are drawn each on its own.
    """
    remembered = n * draws <= CHUNK_VALUES
    return (_drawn_rows if remembered else _drawn_rows.__wrapped__)(n, draws, seed, group)


@lru_cache(maxsize=16)
def _drawn_rows(n: int, draws: int, seed: int, group: int) -> NDArray[np.int64]:
    rng = np.random.default_rng([seed, group] if group else seed)
    rows = rng.integers(0, n, (draws, n))
    rows.setflags(write=False)
    return rows


@lru_cache(maxsize=16)
def drawn_counts(n: int, draws: int, seed: int) -> Floats:
    """(draws, n) how often `drawn_rows` has each participant."""
    places = drawn_rows(n, draws, seed) + n * np.arange(draws)[:, None]
    counts = np.bincount(places.ravel(), minlength=draws * n).reshape(draws, n)
    return _fixed(counts.astype(np.float64))


@lru_cache(maxsize=REMEMBERED)
def _resampled(
    statistic: Statistic, content: bytes, draws: int, seed: int
) -> tuple[Floats, Floats]:
    values = np.frombuffer(content)
    n = values.size
    step, rows = max(1, CHUNK_VALUES // (n * n)), drawn_rows(n, draws, seed)
    found = [statistic(values[rows[begin : begin + step]]) for begin in range(0, draws, step)]
    return _fixed(np.concatenate(found)), _fixed(statistic(left_out(values)))


def _fixed(values: Floats) -> Floats:
    values.setflags(write=False)
    return values


def left_out(values: Floats) -> Floats:
    """(n, n - 1) ``values`` without each one of them."""
    n = values.size
    keep = ~np.eye(n, dtype=bool)
    return np.asarray(np.broadcast_to(values, (n, n))[keep].reshape(n, n - 1))


def resampled_pairs(
    statistic: PairStatistic, first: Floats, second: Floats, *, draws: int, seed: int
) -> tuple[Floats, Floats]:
    """As `resampled`, of two groups that are resampled each on its own."""
    return _resampled_pairs(statistic, first.tobytes(), second.tobytes(), draws, seed)


@lru_cache(maxsize=REMEMBERED)
def _resampled_pairs(
    statistic: PairStatistic, content: bytes, other_content: bytes, draws: int, seed: int
) -> tuple[Floats, Floats]:
    first, second = np.frombuffer(content), np.frombuffer(other_content)
    n1, n2 = first.size, second.size
    step = max(1, CHUNK_VALUES // (n1 * n2))
    rows, others = drawn_rows(n1, draws, seed), drawn_rows(n2, draws, seed, 1)
    found = []
    for begin in range(0, draws, step):
        part = slice(begin, begin + step)
        found.append(statistic(first[rows[part]], second[others[part]]))
    without_first = statistic(left_out(first), np.broadcast_to(second, (n1, n2)))
    without_second = statistic(np.broadcast_to(first, (n2, n1)), left_out(second))
    # Each group's influence is centred on its own mean: both add to the acceleration.
    jackknife = np.concatenate(
        [without_first - without_first.mean(), without_second - without_second.mean()]
    )
    return _fixed(np.concatenate(found)), _fixed(jackknife)


def medians(values: Floats) -> Floats:
    """Median of each row."""
    return np.asarray(np.median(values, axis=1))


def pseudomedians(values: Floats) -> Floats:
    """Median of all means of two values, of each row."""
    first, second = np.triu_indices(values.shape[1])
    return np.asarray(np.median((values[:, first] + values[:, second]) / 2, axis=1))


def shifts(first: Floats, second: Floats) -> Floats:
    """Median of all differences, of each row."""
    pairs = first[:, :, None] - second[:, None, :]
    return np.asarray(np.median(pairs.reshape(len(first), -1), axis=1))


def deltas(first: Floats, second: Floats) -> Floats:
    """Cliff's delta of each row."""
    pairs = np.sign(first[:, :, None] - second[:, None, :])
    return np.asarray(pairs.mean(axis=(1, 2)))


def mean_differences(first: Floats, second: Floats) -> Floats:
    """Difference of the means of each row."""
    return np.asarray(first.mean(axis=1) - second.mean(axis=1))
