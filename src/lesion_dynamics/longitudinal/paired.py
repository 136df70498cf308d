"""The typical change of a group: Hodges-Lehmann pseudomedian and the signed-rank test."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.longitudinal.estimate import MINIMUM_PARTICIPANTS, Estimate, too_few
from lesion_dynamics.longitudinal.pairwise import median_ranks, walsh_order_statistics
from lesion_dynamics.longitudinal.rank_distributions import (
    lower_quantile,
    signed_rank_distribution,
)
from lesion_dynamics.longitudinal.signed_rank import EXACT_UP_TO, ZeroMethod, signed_rank_p


def pseudomedian(
    changes: NDArray[np.float64], *, zero_method: ZeroMethod, level: float
) -> Estimate:
    """Median of all means of two changes (a change with itself included), interval and p.

    Parameters
    ----------
    changes : (n,) finite changes of the participants, rounded.
    zero_method : of the test. The estimate and its interval always keep zeros: a participant
        who did not change is a measurement of no change.
    level : coverage of the interval, which inverts the signed-rank test: it ends at the k-th
        smallest and k-th largest mean, k the quantile of the null distribution. With ties or
        zeros it covers more than ``level``, never less.

    Edge cases: fewer than 3 changes: no interval, no p. All zero: estimate 0, no interval, no
    p. Too few for an interval at ``level`` (5 or fewer at 95%): no interval.

    Source: Hodges and Lehmann, Ann Math Stat 1963;34:598-611; Hollander, Wolfe and Chicken,
    Nonparametric Statistical Methods, 3rd ed., 3.2 and 3.3; R's ``wilcox.test(conf.int = TRUE)``
    when there are neither zeros nor ties.
    """
    n = changes.size
    if n == 0:
        return Estimate(note=too_few(0), zero_method=zero_method)
    pairs = n * (n + 1) // 2
    middle = walsh_order_statistics(changes, median_ranks(pairs))
    found = Estimate(estimate=sum(middle) / 2, n=n, zero_method=zero_method)
    if n < MINIMUM_PARTICIPANTS:
        return found.noted(too_few(n))
    if not changes.any():
        return found.noted("every change is zero: nothing to rank, no test and no interval")
    p_value, test = signed_rank_p(changes, zero_method=zero_method)
    found = replace(found, p_value=p_value, test=test)
    k = _critical_rank(n, level=level)
    if k == 0:
        return found.noted(f"{n} participants: too few for an interval at {level:.0%}")
    low, high = walsh_order_statistics(changes, (k, pairs + 1 - k))
    return found.with_interval(low, high, level=level, method="signed rank")


@lru_cache(maxsize=1024)
def _critical_rank(n: int, *, level: float) -> int:
    """Rank of the mean at which the interval starts; 0: no interval reaches ``level``."""
    if n <= EXACT_UP_TO:
        ranks = np.arange(1, n + 1, dtype=np.int64)
        return lower_quantile(signed_rank_distribution(ranks), (1 - level) / 2)
    from scipy.stats import norm

    spread = np.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    return int(n * (n + 1) / 4 + norm.ppf((1 - level) / 2) * spread)
