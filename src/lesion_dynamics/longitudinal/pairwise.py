"""Order statistics of all pairwise means or differences, also of very many participants.

Up to `DIRECT_UP_TO` pairs they are written out and sorted. Above, a pair count below a trial
value is halved in on (two sorted arrays give the count without any pair being formed); the
answer is then right to `TOLERANCE` of the values' range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

DIRECT_UP_TO = 5_000_000
"""Pairs: 40 MB, sorted in half a second."""
TOLERANCE = 1e-10


def walsh_averages(changes: Values) -> Values:
    """(n (n + 1) / 2,) sorted means of every two changes, each with itself included."""
    first, second = np.triu_indices(changes.size)
    return np.sort((changes[first] + changes[second]) / 2)


def walsh_order_statistics(changes: Values, ranks: Sequence[int]) -> list[float]:
    """The ``ranks``-th smallest (from 1) of the means of every two changes."""
    n = changes.size
    if n * (n + 1) // 2 <= DIRECT_UP_TO:
        means = walsh_averages(changes)
        return [float(means[rank - 1]) for rank in ranks]
    ordered = np.sort(changes)

    def count(mean: float) -> int:
        both_orders = int(np.searchsorted(ordered, 2 * mean - ordered[::-1], "right").sum())
        with_itself = int(np.searchsorted(ordered, mean, "right"))
        return (both_orders + with_itself) // 2

    return [_halve_in(count, rank, float(ordered[0]), float(ordered[-1])) for rank in ranks]


def difference_order_statistics(first: Values, second: Values, ranks: Sequence[int]) -> list[float]:
    """The ``ranks``-th smallest (from 1) of all differences first - second."""
    if first.size * second.size <= DIRECT_UP_TO:
        differences = np.sort(np.subtract.outer(first, second), axis=None)
        return [float(differences[rank - 1]) for rank in ranks]
    ordered, others = np.sort(first), np.sort(second)

    def count(difference: float) -> int:
        above = int(np.searchsorted(others, ordered - difference, "left").sum())
        return ordered.size * others.size - above

    low, high = float(ordered[0] - others[-1]), float(ordered[-1] - others[0])
    return [_halve_in(count, rank, low, high) for rank in ranks]


def _halve_in(count: Callable[[float], int], rank: int, low: float, high: float) -> float:
    """Smallest value, to the tolerance, that at least ``rank`` pairs do not exceed."""
    tolerance = TOLERANCE * max(high - low, abs(high), abs(low))
    low -= tolerance
    while high - low > tolerance:
        middle = (low + high) / 2
        if count(middle) >= rank:
            high = middle
        else:
            low = middle
    return high


def median_ranks(pairs: int) -> tuple[int, int]:
    """Ranks (from 1) whose mean is the median of ``pairs`` values."""
    return (pairs + 1) // 2, pairs // 2 + 1
