import numpy as np
import pytest
from scipy.stats import bootstrap, norm

from lesion_dynamics.longitudinal.participant_bootstrap import (
    bca_interval,
    deltas,
    left_out,
    mean_differences,
    pseudomedians,
    resampled,
    resampled_pairs,
    shifts,
)
from lesion_dynamics.longitudinal.permutation import permuted_difference
from lesion_dynamics.longitudinal.quantile_regression import (
    quantile_coefficients,
    quantile_effect,
)


def test_bca_is_scipys_on_the_same_sample():
    values = np.random.default_rng(2).lognormal(0, 1, 25)
    expected = bootstrap(
        (values,), np.mean, n_resamples=20_000, rng=np.random.default_rng(3), vectorized=True
    ).confidence_interval
    draws, jackknife = resampled(lambda rows: rows.mean(axis=1), values, draws=20_000, seed=4)
    low, high, method = bca_interval(float(values.mean()), draws, jackknife, level=0.95)
    assert method == "bootstrap BCa"
    assert low == pytest.approx(expected.low, rel=0.03)
    assert high == pytest.approx(expected.high, rel=0.03)


def test_bca_of_two_groups_is_scipys():
    rng = np.random.default_rng(5)
    first, second = rng.normal(1, 1, 20), rng.lognormal(0, 1, 15)
    expected = bootstrap(
        (first, second), lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        n_resamples=20_000, rng=np.random.default_rng(6), vectorized=True,
    ).confidence_interval  # fmt: skip
    draws, jackknife = resampled_pairs(
        lambda a, b: a.mean(axis=1) - b.mean(axis=1), first, second, draws=20_000, seed=7
    )
    low, high, _ = bca_interval(float(first.mean() - second.mean()), draws, jackknife, level=0.95)
    assert low == pytest.approx(expected.low, abs=0.05)
    assert high == pytest.approx(expected.high, abs=0.05)


def test_the_same_seed_draws_the_same_participants_for_every_quantity_and_version():
    values = np.arange(12.0)
    once, _ = resampled(pseudomedians, values, draws=300, seed=9)
    twice, _ = resampled(pseudomedians, 2 * values, draws=300, seed=9)
    assert twice.tolist() == (2 * once).tolist()
    other, _ = resampled(pseudomedians, values, draws=300, seed=10)
    assert other.tolist() != once.tolist()


def test_row_statistics_are_those_of_the_estimators():
    from lesion_dynamics.longitudinal.between import cliffs_delta, shift
    from lesion_dynamics.longitudinal.paired import pseudomedian

    rng = np.random.default_rng(8)
    one, other = rng.normal(0, 1, (3, 9)), rng.normal(1, 1, (3, 7))
    for a, b, p, s, d in zip(
        one, other, pseudomedians(one), shifts(one, other), deltas(one, other), strict=True
    ):
        assert p == pytest.approx(pseudomedian(a, zero_method="pratt", level=0.9).estimate)
        assert s == pytest.approx(shift(a, b, level=0.9).estimate)
        assert d == pytest.approx(cliffs_delta(a, b, level=0.9).estimate)


def test_left_out_leaves_each_out_once():
    assert left_out(np.array([1.0, 2, 3])).tolist() == [[2, 3], [1, 3], [1, 2]]


def test_too_many_failed_draws_and_equal_draws_have_no_interval():
    draws = np.array([1.0] * 90 + [np.nan] * 10)
    assert np.isnan(bca_interval(1.0, draws, np.arange(3.0), level=0.95)[0])
    assert np.isnan(bca_interval(1.0, np.ones(50), np.arange(3.0), level=0.95)[0])


def test_a_biased_bootstrap_is_corrected_twice():
    # A symmetric jackknife: no acceleration, ends at Phi(2 z0 + z) of the draws (Efron 1987).
    draws = (np.arange(10_000) + 0.5) / 10_000
    low, high, method = bca_interval(0.6, draws, np.array([-1.0, 0, 1]), level=0.9)
    expected = norm.cdf(2 * norm.ppf(0.6) + norm.ppf([0.05, 0.95]))
    assert method == "bootstrap BCa"
    assert (low, high) == pytest.approx(tuple(expected), abs=1e-3)


def test_an_undefined_acceleration_leaves_the_percentile_interval():
    low, high, method = bca_interval(0.5, np.linspace(0, 1, 101), np.full(9, 0.5), level=0.9)
    assert method == "bootstrap percentile"
    assert (low, high) == pytest.approx((0.05, 0.95))


def test_permutation_p_is_that_of_all_exchanges():
    from itertools import combinations

    first, second = np.array([3.0, 5, 9, 4]), np.array([1.0, 2, 3.5, 0])
    values = np.concatenate([first, second])

    def welch(chosen):
        a, b = values[list(chosen)], np.delete(values, list(chosen))
        return abs(a.mean() - b.mean()) / np.sqrt(a.var(ddof=1) / 4 + b.var(ddof=1) / 4)

    every = [welch(c) for c in combinations(range(8), 4)]
    expected = np.mean(np.array(every) >= welch(range(4)) - 1e-12)
    found = permuted_difference(first, second, permutations=20_000, seed=1)
    assert found.p_value == pytest.approx(expected, abs=0.005)
    assert found.estimate == pytest.approx(first.mean() - second.mean())
    apart = permuted_difference(np.arange(40.0), np.arange(100.0, 140.0), permutations=100, seed=1)
    assert apart.p_value == pytest.approx(1 / 101)


def test_the_difference_of_means_by_row():
    first, second = np.array([[1.0, 2, 6], [0, 0, 3]]), np.array([[1.0, 1], [5, 7]])
    assert mean_differences(first, second).tolist() == [2, -5]


def test_quantile_regression_of_groups_is_the_difference_of_their_quantiles():
    first, second = np.array([1.0, 2, 7, 8, 40]), np.array([0.0, 0, 0, 1, 5])
    design = np.column_stack([np.ones(10), np.repeat([1.0, 0], 5)])
    found = quantile_coefficients(np.concatenate([first, second]), design, 0.5)
    assert found == pytest.approx([0, 7])


def test_quantile_regression_is_that_of_statsmodels():
    from statsmodels.regression.quantile_regression import QuantReg

    rng = np.random.default_rng(9)
    design = np.column_stack([np.ones(80), rng.normal(0, 1, (80, 2))])
    response = design @ [1.0, 2, -1] + rng.standard_t(3, 80)
    for quantile in (0.25, 0.5, 0.75):
        found = quantile_coefficients(response, design, quantile)
        expected = QuantReg(response, design).fit(q=quantile, max_iter=5000, p_tol=1e-9).params
        assert found == pytest.approx(expected, abs=1e-3)


def test_quantile_effect_has_an_interval_over_participants_and_refuses_thin_tails():
    rng = np.random.default_rng(10)
    strata = np.repeat([True, False], 30)
    design = np.column_stack([np.ones(60), strata.astype(float)])
    response = rng.normal(0, 1, 60) + 3 * strata
    keys = {"column": 1, "strata": strata, "draws": 60, "level": 0.9, "seed": 1}
    found = quantile_effect(response, design, quantile=0.5, **keys)
    assert found.interval_low < 3 < found.interval_high
    assert found.interval_method == "bootstrap BCa"
    thin = quantile_effect(response, design, quantile=0.01, **keys)
    assert np.isnan(thin.estimate)
    assert "too few" in thin.note
