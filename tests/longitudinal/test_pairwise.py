import numpy as np
import pytest

from lesion_dynamics.longitudinal import pairwise
from lesion_dynamics.longitudinal.pairwise import (
    difference_order_statistics,
    median_ranks,
    walsh_averages,
    walsh_order_statistics,
)


def test_walsh_averages_are_all_means_of_two():
    changes = np.array([3.0, -1.0, 4.0, 0.0])
    brute = [(a + b) / 2 for i, a in enumerate(changes) for b in changes[i:]]
    assert walsh_averages(changes).tolist() == sorted(brute)


@pytest.mark.parametrize("pairs", [1, 2, 5, 6])
def test_the_mean_at_the_median_ranks_is_the_median(pairs):
    values = np.arange(pairs) ** 2.0
    low, high = median_ranks(pairs)
    assert (values[low - 1] + values[high - 1]) / 2 == np.median(values)


@pytest.mark.parametrize("zeros", [0, 20])
def test_halving_in_finds_what_sorting_finds(monkeypatch, zeros):
    rng = np.random.default_rng(0)
    first = np.concatenate([np.zeros(zeros), rng.normal(50, 300, 40).round(3)])
    second = np.concatenate([np.zeros(zeros), rng.normal(0, 300, 31).round(3)])
    walsh_ranks = [1, 2, 400, *median_ranks(first.size * (first.size + 1) // 2)]
    ranks = [1, 17, *median_ranks(first.size * second.size), first.size * second.size]
    direct = (
        walsh_order_statistics(first, walsh_ranks),
        difference_order_statistics(first, second, ranks),
    )
    monkeypatch.setattr(pairwise, "DIRECT_UP_TO", 0)
    assert walsh_order_statistics(first, walsh_ranks) == pytest.approx(direct[0], abs=1e-6)
    found = difference_order_statistics(first, second, ranks)
    assert found == pytest.approx(direct[1], abs=1e-6)
