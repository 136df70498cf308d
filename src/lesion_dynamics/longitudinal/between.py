"""Two diagnoses side by side: Mann-Whitney test, Hodges-Lehmann shift, Cliff's delta."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.longitudinal.estimate import MINIMUM_PARTICIPANTS, Estimate, too_few
from lesion_dynamics.longitudinal.pairwise import difference_order_statistics, median_ranks
from lesion_dynamics.longitudinal.rank_distributions import (
    lower_quantile,
    rank_sum_distribution,
    two_sided_p,
)

EXACT_UP_TO = 100
"""Participants of both diagnoses. Above, the normal approximation is used."""


def rank_sum_p(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float, str]:
    """Two-sided Mann-Whitney p of "both come from one distribution", and the test's name.

    Exact and conditional on ties up to `EXACT_UP_TO` values: a result counts as extreme when
    its distance from the mean rank sum is at least the observed one (R's
    ``coin::wilcox_test(distribution = "exact")``). Above: scipy's normal approximation with
    tie and continuity correction (R's ``wilcox.test(exact = FALSE)``).

    Returns (NaN, test) when all values are the same.
    """
    values = np.concatenate([first, second])
    exact = values.size <= EXACT_UP_TO
    test = f"Mann-Whitney, {'exact' if exact else 'normal approximation'}"
    if np.all(values == values[0]):
        return float("nan"), test
    if exact:
        from scipy.stats import rankdata

        ranks = np.rint(2 * rankdata(values)).astype(np.int64)
        distribution = rank_sum_distribution(ranks, drawn=first.size)
        observed = int(ranks[: first.size].sum())
        # The mean rank sum is n1 (N + 1) / 2; ranks are doubled, and the mean once more.
        doubled_mean = 2 * first.size * (values.size + 1)
        return two_sided_p(distribution, observed, doubled_mean=doubled_mean), test
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(first, second, method="asymptotic").pvalue), test


def shift(first: NDArray[np.float64], second: NDArray[np.float64], *, level: float) -> Estimate:
    """Median of all differences first - second, its interval and the Mann-Whitney p.

    Parameters
    ----------
    first, second : (n1,) and (n2,) finite values of the two diagnoses.
    level : coverage of the interval, which inverts the Mann-Whitney test. With ties it covers
        more than ``level``, never less. It is the interval of a shift: it assumes that the two
        distributions differ in location only.

    Edge cases: a diagnosis with nobody: NaN. Fewer than 3 in one: no interval, no p.

    Source: Hodges and Lehmann 1963; Hollander, Wolfe and Chicken, 4.2 and 4.3.
    """
    n = first.size + second.size
    fewest = min(first.size, second.size)
    if fewest == 0:
        return Estimate(n=n, note=f"one diagnosis has {too_few(0)}")
    pairs = first.size * second.size
    middle = difference_order_statistics(first, second, median_ranks(pairs))
    found = Estimate(estimate=sum(middle) / 2, n=n)
    if fewest < MINIMUM_PARTICIPANTS:
        return found.noted(f"one diagnosis has {too_few(fewest)}")
    p_value, test = rank_sum_p(first, second)
    if np.isnan(p_value):
        return found.noted("all values are the same: no test and no interval")
    found = replace(found, p_value=p_value, test=test)
    k = _critical_rank(first.size, second.size, level=level)
    if k == 0:
        return found.noted(f"{n} participants: too few for an interval at {level:.0%}")
    low, high = difference_order_statistics(first, second, (k, pairs + 1 - k))
    return found.with_interval(low, high, level=level, method="Mann-Whitney")


@lru_cache(maxsize=1024)
def _critical_rank(n1: int, n2: int, *, level: float) -> int:
    """Rank of the difference at which the interval starts; 0: none reaches ``level``."""
    if n1 + n2 <= EXACT_UP_TO:
        ranks = 2 * np.arange(1, n1 + n2 + 1, dtype=np.int64)
        doubled_sums = rank_sum_distribution(ranks, drawn=n1)
        smallest = n1 * (n1 + 1) // 2
        return lower_quantile(doubled_sums[::2], (1 - level) / 2) - smallest
    from scipy.stats import norm

    spread = np.sqrt(n1 * n2 * (n1 + n2 + 1) / 12)
    return int(n1 * n2 / 2 + norm.ppf((1 - level) / 2) * spread)


def cliffs_delta(
    first: NDArray[np.float64], second: NDArray[np.float64], *, level: float
) -> Estimate:
    """P(first > second) - P(first < second): -1 to 1, 0 when neither tends to be larger.

    The interval is asymmetric and stays within -1 and 1, from the consistent variance of delta.

    Edge cases: a diagnosis with nobody: NaN. Fewer than 3 in one: no interval. |delta| = 1: the
    far end comes from the smaller group's size alone.

    Source: Cliff, Ordinal Methods for Behavioral Data Analysis, 1996, ch. 5; Feng and Cliff,
    J Mod Appl Stat Methods 2004;3:322-332, eq. 7 and 9.
    """
    n1, n2 = first.size, second.size
    if min(n1, n2) == 0:
        return Estimate(n=n1 + n2, note=f"one diagnosis has {too_few(0)}")
    delta = float(_dominance(first, second).mean())
    found = Estimate(estimate=delta, n=n1 + n2)
    if min(n1, n2) < MINIMUM_PARTICIPANTS:
        return found.noted(f"one diagnosis has {too_few(min(n1, n2))}")
    from scipy.stats import norm

    z = float(norm.ppf((1 + level) / 2))
    method = "Feng and Cliff"
    if abs(delta) == 1:
        far = (min(n1, n2) - z**2) / (min(n1, n2) + z**2)
        low, high = sorted((delta, delta * far))
        return found.with_interval(low, high, level=level, method=method)
    variance = _variance_of_delta(first, second, delta)
    centre = delta - delta**3
    reach = z * np.sqrt(variance * ((1 - delta**2) ** 2 + z**2 * variance))
    scale = 1 - delta**2 + z**2 * variance
    low, high = float((centre - reach) / scale), float((centre + reach) / scale)
    return found.with_interval(low, high, level=level, method=method)


def _dominance(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each value: the share of ``others`` below it minus the share above it."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, "left")
    above = others.size - np.searchsorted(ordered, values, "right")
    return np.asarray((below - above) / others.size)


def _variance_of_delta(
    first: NDArray[np.float64], second: NDArray[np.float64], delta: float
) -> float:
    """Consistent variance estimate; never below the smallest possible variance."""
    n1, n2 = first.size, second.size
    of_rows = ((_dominance(first, second) - delta) ** 2).sum()
    of_columns = ((-_dominance(second, first) - delta) ** 2).sum()
    ordered = np.sort(second)
    ties = np.searchsorted(ordered, first, "right") - np.searchsorted(ordered, first, "left")
    # A pair is worth -1, 0 or 1, so its square is 1 unless it is tied.
    of_pairs = n1 * n2 - int(ties.sum()) - n1 * n2 * delta**2
    variance = (n2**2 * of_rows + n1**2 * of_columns - of_pairs) / (n1 * n2 * (n1 - 1) * (n2 - 1))
    return float(max(variance, (1 - delta**2) / (n1 * n2 - 1)))
