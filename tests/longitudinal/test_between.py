import itertools

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, rankdata

from lesion_dynamics.longitudinal.between import (
    EXACT_UP_TO,
    _variance_of_delta,
    cliffs_delta,
    rank_sum_p,
    shift,
)

TERM = np.array([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46])
EARLY = np.array([1.15, 0.88, 0.90, 0.74, 1.21])


def test_p_and_shift_of_the_textbook_example_are_those_of_the_textbook_and_of_r():
    # Hollander and Wolfe, permeability of the chorioamnion; the example of R's ?wilcox.test:
    # W = 35, one-sided p-value = 0.1272; estimate 0.305.
    p, test = rank_sum_p(TERM, EARLY)
    assert p == pytest.approx(2 * 0.1272, abs=1e-4)
    assert test == "Mann-Whitney, exact"
    assert shift(TERM, EARLY, level=0.95).estimate == pytest.approx(0.305)


def test_without_ties_p_is_scipys_exact_p():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 31), rng.normal(0.5, 1, 30)
    expected = mannwhitneyu(first, second, method="exact").pvalue
    assert rank_sum_p(first, second)[0] == pytest.approx(expected, abs=1e-12)


def test_with_ties_p_counts_every_way_to_draw_the_first_group():
    first, second = np.array([0.0, 0, 1, 4]), np.array([0.0, 1, 1, 2, 0, 0])
    ranks = rankdata(np.concatenate([first, second]))
    centre = first.size * (ranks.size + 1) / 2
    observed = abs(ranks[: first.size].sum() - centre)
    sums = [sum(c) for c in itertools.combinations(ranks, first.size)]
    expected = np.mean([abs(s - centre) >= observed - 1e-9 for s in sums])
    assert rank_sum_p(first, second)[0] == pytest.approx(expected, abs=1e-12)


def test_large_samples_are_scipys_normal_approximation_and_say_so():
    rng = np.random.default_rng(1)
    first, second = rng.normal(0, 1, EXACT_UP_TO), rng.normal(0.2, 1, 20).round(1)
    p, test = rank_sum_p(first, second)
    assert p == mannwhitneyu(first, second, method="asymptotic").pvalue
    assert test == "Mann-Whitney, normal approximation"


@pytest.mark.parametrize(("n1", "n2"), [(4, 4), (9, 6), (31, 30)])
def test_interval_holds_exactly_the_shifts_that_the_test_does_not_reject(n1, n2):
    rng = np.random.default_rng(n1)
    first, second = rng.lognormal(0, 1, n1), rng.lognormal(0, 1, n2)
    found = shift(first, second, level=0.9)
    edges = np.sort(np.subtract.outer(first, second), axis=None)
    gaps = (edges[:-1] + edges[1:]) / 2
    kept = [g for g in gaps[:: max(1, gaps.size // 60)] if rank_sum_p(first - g, second)[0] > 0.1]
    inside = gaps[(gaps > found.interval_low) & (gaps < found.interval_high)]
    assert min(kept) >= inside.min()
    assert max(kept) <= inside.max()
    just_inside = [inside.min(), inside.max()]
    outside = [gaps[gaps < found.interval_low].max(), gaps[gaps > found.interval_high].min()]
    assert all(rank_sum_p(first - g, second)[0] > 0.1 for g in just_inside)
    assert all(rank_sum_p(first - g, second)[0] <= 0.1 for g in outside)


def test_cliffs_delta_by_hand():
    # 1 beats 0 and loses to 2; 3 beats both: (1 - 1 + 2) / 4.
    found = cliffs_delta(np.array([1.0, 3.0]), np.array([0.0, 2.0]), level=0.95)
    assert found.estimate == 0.5
    assert "at least 3" in found.note


def test_variance_of_delta_is_that_of_the_matrix_of_all_pairs():
    rng = np.random.default_rng(8)
    first, second = rng.integers(0, 6, 14).astype(float), rng.integers(1, 8, 11).astype(float)
    pairs = np.sign(np.subtract.outer(first, second))
    delta, (n1, n2) = pairs.mean(), pairs.shape
    # Cliff 1996, term by term.
    of_rows = n2**2 * ((pairs.mean(axis=1) - delta) ** 2).sum()
    of_columns = n1**2 * ((pairs.mean(axis=0) - delta) ** 2).sum()
    expected = (of_rows + of_columns - ((pairs - delta) ** 2).sum()) / (
        n1 * n2 * (n1 - 1) * (n2 - 1)
    )
    assert _variance_of_delta(first, second, delta) == pytest.approx(expected)


def test_cliffs_delta_is_the_mann_whitney_statistic_rescaled():
    u = mannwhitneyu(TERM, EARLY).statistic
    found = cliffs_delta(TERM, EARLY, level=0.95)
    assert found.estimate == pytest.approx(2 * u / (TERM.size * EARLY.size) - 1)
    assert -1 < found.interval_low < found.estimate < found.interval_high < 1


def test_cliffs_delta_covers_the_true_value():
    # Of two normal distributions one standard deviation apart, delta is 2 Phi(1 / sqrt 2) - 1.
    rng = np.random.default_rng(5)
    found = [
        cliffs_delta(rng.normal(1, 1, 31), rng.normal(0, 1, 30), level=0.95) for _ in range(400)
    ]
    covered = np.mean([f.interval_low <= 0.5205 <= f.interval_high for f in found])
    assert 0.92 < covered < 0.98


def test_complete_separation_keeps_delta_within_its_bounds():
    found = cliffs_delta(np.arange(10.0, 20), np.arange(10.0), level=0.95)
    assert found.estimate == found.interval_high == 1.0
    assert 0 < found.interval_low < 1
    mirrored = cliffs_delta(np.arange(10.0), np.arange(10.0, 20), level=0.95)
    assert mirrored.interval_high == pytest.approx(-found.interval_low)


def test_exchanging_the_diagnoses_mirrors_everything():
    one, other = shift(TERM, EARLY, level=0.95), shift(EARLY, TERM, level=0.95)
    assert one.estimate == pytest.approx(-other.estimate)
    assert one.interval_low == pytest.approx(-other.interval_high)
    assert one.p_value == pytest.approx(other.p_value)


@pytest.mark.parametrize("estimate", [shift, cliffs_delta])
def test_one_diagnosis_only_is_not_a_number_and_says_why(estimate):
    found = estimate(np.arange(5.0), np.array([]), level=0.95)
    assert np.isnan(found.estimate)
    assert "no participant" in found.note


def test_all_values_the_same_have_no_p():
    found = shift(np.zeros(5), np.zeros(6), level=0.95)
    assert found.estimate == 0.0
    assert np.isnan(found.p_value)
    assert "the same" in found.note
