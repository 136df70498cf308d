"""Median and quartiles, with a bootstrap interval of the median."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.longitudinal.estimate import MINIMUM_PARTICIPANTS, Estimate, too_few
from lesion_dynamics.longitudinal.participant_bootstrap import bca_interval, medians, resampled

RESAMPLED_UP_TO = 1000
"""Participants. Above, order statistics give nearly the same interval at once."""


def median(values: NDArray[np.float64], *, level: float, draws: int, seed: int) -> Estimate:
    """Median, quartiles, and the interval of the median over resampled participants.

    Parameters
    ----------
    values : (n,) finite values, one a participant.
    level : coverage of the interval.
    draws : resamples.
    seed : the same for every quantity, so that two model versions on the same participants are
        resampled alike.

    The interval is BCa (bias-corrected and accelerated). Where its correction is undefined
    (the median of every leave-one-out sample is the same, which many zeros bring about) the
    percentile interval takes its place, and ``interval_method`` says so. Above
    `RESAMPLED_UP_TO` participants it is the distribution-free interval between two order
    statistics. Quartiles by linear
    interpolation (R type 7).

    Edge cases: nobody: NaN. Fewer than 3, or all values the same: no interval.

    Source: Efron, J Am Stat Assoc 1987;82:171-185; order statistics: Hollander, Wolfe and
    Chicken, Nonparametric Statistical Methods, 3rd ed., 3.6.
    """
    n = values.size
    if n == 0:
        return Estimate(note=too_few(0))
    lower, middle, upper = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
    found = Estimate(estimate=middle, n=n, lower_quartile=lower, upper_quartile=upper)
    if n < MINIMUM_PARTICIPANTS:
        return found.noted(too_few(n))
    if np.all(values == values[0]):
        return found.noted("all values are the same: no interval")
    if n > RESAMPLED_UP_TO:
        low, high = _between_order_statistics(values, level=level)
        return found.with_interval(low, high, level=level, method="order statistics")
    drawn, jackknife = resampled(medians, values, draws=draws, seed=seed)
    low, high, method = bca_interval(middle, drawn, jackknife, level=level)
    if method:
        return found.with_interval(low, high, level=level, method=method)
    return found.noted("the bootstrap interval is undefined")


def _between_order_statistics(values: NDArray[np.float64], *, level: float) -> tuple[float, float]:
    """The k-th smallest and k-th largest value, k the binomial quantile of "below the median"."""
    from scipy.stats import binom

    k = int(binom.ppf((1 - level) / 2, values.size, 0.5))
    ordered = np.sort(values)
    return float(ordered[k - 1]), float(ordered[-k])
