"""Exact null distributions of rank sums, with ties, by counting.

Midranks are multiples of one half; doubled they are whole numbers, and the distribution of
their sum follows from a convolution, one rank at a time.

Sources: signed ranks: Wilcoxon, Biometrics Bulletin 1945;1:80-83. Rank sums: Mann and Whitney,
Ann Math Stat 1947;18:50-60. Both conditional on the ties: Streitberg and Roehmel, Stat Softw
Newsl 1986;12:10-17 (the shift algorithm, as in R's coin).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def signed_rank_distribution(doubled_ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability of every value of twice the sum of the positive ranks.

    Parameters
    ----------
    doubled_ranks : (n,) twice the midranks of the non-zero changes; each is positive or
        negative with probability one half.

    Returns
    -------
    (sum(doubled_ranks) + 1,) probabilities of 0, 1, ...
    """
    probability = np.zeros(int(doubled_ranks.sum()) + 1)
    probability[0] = 1.0
    for rank in doubled_ranks:
        shifted = np.zeros_like(probability)
        shifted[rank:] = probability[: probability.size - rank]
        probability = (probability + shifted) / 2
    return probability


def rank_sum_distribution(doubled_ranks: NDArray[np.int64], *, drawn: int) -> NDArray[np.float64]:
    """Probability of every value of twice the rank sum of ``drawn`` of the ranks.

    Parameters
    ----------
    doubled_ranks : (n,) twice the midranks of all values.
    drawn : size of the first group, every choice being equally likely.

    Returns
    -------
    (sum(doubled_ranks) + 1,) probabilities of 0, 1, ...
    """
    total = int(doubled_ranks.sum())
    weight = np.zeros((drawn + 1, total + 1))
    weight[0, 0] = 1.0
    for index, rank in enumerate(doubled_ranks):
        # From the largest group down, so that a rank is drawn at most once.
        for size in range(min(index + 1, drawn), 0, -1):
            weight[size, rank:] += weight[size - 1, : total + 1 - rank]
    return np.asarray(weight[drawn] / weight[drawn].sum())


def two_sided_p(probability: NDArray[np.float64], observed: int, *, doubled_mean: int) -> float:
    """Probability of a value at least as far from the mean as ``observed``.

    ``doubled_mean`` is twice the mean, so that the comparison stays among whole numbers.
    """
    values = np.arange(probability.size, dtype=np.int64)
    as_far = np.abs(2 * values - doubled_mean) >= abs(2 * observed - doubled_mean)
    return float(min(1.0, probability[as_far].sum()))


def lower_quantile(probability: NDArray[np.float64], level: float) -> int:
    """Smallest value whose cumulative probability reaches ``level``."""
    return int(np.searchsorted(np.cumsum(probability), level))
