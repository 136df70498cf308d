import numpy as np
import pytest

from lesion_dynamics.longitudinal.paired import pseudomedian
from lesion_dynamics.longitudinal.pairwise import walsh_averages
from lesion_dynamics.longitudinal.signed_rank import EXACT_UP_TO, signed_rank_p


def test_estimate_and_interval_of_the_textbook_example():
    # Hollander and Wolfe: estimate 0.46, interval 0.010 to 0.786 (exact coverage 96.1%).
    before = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
    after = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
    found = pseudomedian(before - after, zero_method="wilcox", level=0.95)
    assert found.estimate == pytest.approx(0.46)
    assert (found.interval_low, found.interval_high) == pytest.approx((0.010, 0.786))


@pytest.mark.parametrize("n", [6, 11, 30])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_interval_holds_exactly_the_shifts_that_the_test_does_not_reject(n, level):
    changes = np.random.default_rng(n).lognormal(0, 1, n)
    found = pseudomedian(changes, zero_method="pratt", level=level)
    means = np.unique(walsh_averages(changes))
    # Between two neighbouring means the test's answer is constant: try one shift in each gap.
    shifts = (means[:-1] + means[1:]) / 2
    kept = [
        shift
        for shift in shifts
        if signed_rank_p(changes - shift, zero_method="pratt")[0] > 1 - level
    ]
    assert min(kept) > found.interval_low > shifts[shifts < min(kept)].max(initial=-np.inf)
    assert max(kept) < found.interval_high < shifts[shifts > max(kept)].min(initial=np.inf)


def test_interval_covers_at_least_its_level():
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        found = pseudomedian(rng.normal(0.5, 1, 12), zero_method="pratt", level=0.95)
        covered += found.interval_low <= 0.5 <= found.interval_high
    assert covered / 400 > 0.93


def test_estimate_keeps_participants_without_change():
    found = pseudomedian(np.array([0.0] * 9 + [5, 6, 7]), zero_method="wilcox", level=0.95)
    assert found.estimate == 0.0
    assert found.n == 12


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_give_no_p_and_no_interval_but_say_so(n):
    found = pseudomedian(np.arange(1.0, n + 1), zero_method="pratt", level=0.95)
    assert np.isnan(found.p_value)
    assert np.isnan(found.interval_low)
    assert "at least 3" in found.note
    assert np.isnan(found.estimate) == (n == 0)


def test_all_zero_changes_are_an_estimate_of_zero_without_p_or_interval():
    found = pseudomedian(np.zeros(8), zero_method="pratt", level=0.95)
    assert found.estimate == 0.0
    assert np.isnan([found.p_value, found.interval_low, found.interval_high]).all()
    assert "every change is zero" in found.note


def test_five_participants_have_a_p_but_no_95_percent_interval():
    found = pseudomedian(np.array([1.0, 2, 3, 4, 5]), zero_method="pratt", level=0.95)
    assert found.p_value == pytest.approx(2 / 32)
    assert np.isnan(found.interval_low)
    assert "too few for an interval" in found.note


def test_large_samples_have_an_interval_close_to_the_exact_one():
    changes = np.random.default_rng(4).normal(1, 1, EXACT_UP_TO + 1)
    large = pseudomedian(changes, zero_method="pratt", level=0.95)
    exact = pseudomedian(changes[:-1], zero_method="pratt", level=0.95)
    assert large.interval_low == pytest.approx(exact.interval_low, abs=0.02)
    assert large.interval_high == pytest.approx(exact.interval_high, abs=0.02)
