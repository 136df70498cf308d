import numpy as np
import pytest
from scipy.stats import bootstrap

from lesion_dynamics.longitudinal.medians import RESAMPLED_UP_TO, median


def test_median_and_quartiles_by_hand():
    found = median(np.array([1.0, 2, 3, 4, 5]), level=0.95, draws=200, seed=0)
    assert (found.lower_quartile, found.estimate, found.upper_quartile) == (2, 3, 4)


def test_interval_is_scipys_bca_with_that_seed():
    values = np.random.default_rng(1).lognormal(8, 1, 31)
    found = median(values, level=0.9, draws=999, seed=7)
    expected = bootstrap(
        (values,), np.median, n_resamples=999, confidence_level=0.9, method="BCa",
        rng=np.random.default_rng(7),
    ).confidence_interval  # fmt: skip
    assert (found.interval_low, found.interval_high) == tuple(expected)
    assert found.interval_method == "bootstrap BCa"


def test_seed_and_draws_and_level_each_matter():
    # An even number: medians of resamples are then means of two values, and rarely the same.
    values = np.random.default_rng(2).normal(size=40)

    def interval(*, level: float = 0.95, draws: int = 500, seed: int = 0) -> tuple[float, float]:
        found = median(values, level=level, draws=draws, seed=seed)
        return found.interval_low, found.interval_high

    assert interval() == interval()
    assert len({interval(), interval(seed=1), interval(draws=150), interval(level=0.8)}) == 4


def test_many_zeros_fall_back_to_the_percentile_interval_and_say_so():
    found = median(np.array([0.0] * 8 + [1, 2, 3]), level=0.95, draws=2000, seed=0)
    assert found.estimate == 0.0
    assert found.interval_method == "bootstrap percentile"
    assert found.interval_low == 0.0 < found.interval_high


def test_what_cannot_be_computed_is_not_a_number_with_a_note():
    assert np.isnan(median(np.array([]), level=0.95, draws=100, seed=0).estimate)
    two = median(np.array([1.0, 2.0]), level=0.95, draws=100, seed=0)
    assert two.estimate == 1.5
    assert np.isnan(two.interval_low)
    assert "2 participants" in two.note
    same = median(np.full(9, 4.0), level=0.95, draws=100, seed=0)
    assert same.estimate == 4.0
    assert np.isnan(same.interval_low)


def test_interval_of_the_median_covers_what_it_promises():
    rng = np.random.default_rng(9)
    found = [median(rng.lognormal(0, 1, 30), level=0.95, draws=300, seed=1) for _ in range(300)]
    covered = np.mean([f.interval_low <= 1 <= f.interval_high for f in found])
    assert covered > 0.9


def test_above_a_thousand_participants_order_statistics_agree_with_the_bootstrap():
    values = np.random.default_rng(4).lognormal(0, 1, RESAMPLED_UP_TO + 1)
    large = median(values, level=0.95, draws=100, seed=0)
    resampled = median(values[:-1], level=0.95, draws=2000, seed=0)
    assert large.interval_method == "order statistics"
    assert (large.interval_low, large.interval_high) == pytest.approx(
        (resampled.interval_low, resampled.interval_high), abs=0.02
    )
