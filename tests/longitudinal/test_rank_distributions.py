import numpy as np
import pytest
from scipy.stats import binom

from lesion_dynamics.longitudinal.rank_distributions import (
    lower_quantile,
    rank_sum_distribution,
    signed_rank_distribution,
    two_sided_p,
)


def test_equal_ranks_make_a_binomial_distribution():
    found = signed_rank_distribution(np.full(10, 3))
    assert found[::3] == pytest.approx(binom.pmf(np.arange(11), 10, 0.5))
    assert found.sum() == pytest.approx(1)


def test_drawing_two_of_four_by_hand():
    # Sums of two of 1, 2, 3, 4 are 3, 4, 5 (twice), 6, 7; doubled ranks double them.
    found = rank_sum_distribution(2 * np.arange(1, 5), drawn=2)
    expected = {6: 1 / 6, 8: 1 / 6, 10: 2 / 6, 12: 1 / 6, 14: 1 / 6}
    assert {int(k): found[k] for k in np.flatnonzero(found)} == pytest.approx(expected)


def test_two_sided_p_counts_both_ends_and_what_lies_as_far():
    probability = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
    assert two_sided_p(probability, 1, doubled_mean=4) == pytest.approx(0.6)
    assert two_sided_p(probability, 4, doubled_mean=4) == pytest.approx(0.2)
    assert two_sided_p(probability, 2, doubled_mean=4) == pytest.approx(1.0)


def test_lower_quantile_is_the_first_value_to_reach_the_level():
    probability = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
    assert [lower_quantile(probability, level) for level in (0.05, 0.2, 0.31)] == [0, 1, 2]
