import numpy as np
import pytest
from scipy.stats import norm

from lesion_dynamics.longitudinal.corrected_estimates import deconvolved
from lesion_dynamics.longitudinal.deconvolution import Measured, true_changes
from lesion_dynamics.longitudinal.participant_bootstrap import pseudomedians
from lesion_dynamics.longitudinal.simex import STATISTICS, Rates

RNG = np.random.default_rng


def measured(true, noise, load=None, *, seed=1) -> Measured:
    true = np.atleast_2d(np.asarray(true, dtype=float))
    noise = np.broadcast_to(np.asarray(noise, dtype=float), true.shape)
    load = np.ones(true.shape) if load is None else np.broadcast_to(load, true.shape)
    # Shuffled quantiles in place of random noise: its spread is exact.
    quantiles = norm.ppf((np.arange(true.size) + 0.5) / true.size)
    seen = true + noise * RNG(seed).permutation(quantiles).reshape(true.shape)
    return Measured(seen, noise.copy(), np.asarray(load, dtype=float))


def test_without_noise_the_changes_are_those_measured():
    own = measured([5.0, -2.0, 9.0, 0.0], 0.0)
    assert (true_changes(own, draws=3, rng=RNG(2)) == own.changes[:, None, :]).all()


def test_a_change_measured_far_better_than_the_others_stays():
    own = measured([5.0, -2.0, 9.0, 0.0, 7.0], [3.0, 3.0, 3.0, 0.01, 3.0])
    drawn = true_changes(own, draws=20, rng=RNG(2))
    assert (drawn[..., 3] == own.changes[0, 3]).all()
    assert drawn[..., 0].std() > 0.1


def test_normal_changes_get_their_spread_and_quantiles_back():
    true = 50 + 40 * norm.ppf((np.arange(400) + 0.5) / 400)
    own = measured(true, 40.0)
    drawn = true_changes(own, draws=50, rng=RNG(3))
    assert own.changes.std() == pytest.approx(40 * np.sqrt(2), rel=0.05)
    assert drawn.std(axis=-1).mean() == pytest.approx(40, rel=0.1)
    quantiles = np.quantile(drawn, [0.1, 0.5, 0.9])
    assert quantiles == pytest.approx(50 + 40 * norm.ppf([0.1, 0.5, 0.9]), abs=7)


def test_normal_posterior_of_one_participant():
    # Truth N(0, 40^2) and noise N(0, 40^2): given 80, the true change is N(40, 40^2 / 2).
    true = 40 * norm.ppf((np.arange(400) + 0.5) / 400)
    own = measured(true, 40.0, seed=4)
    own.changes[0, 0] = 80.0
    drawn = true_changes(own, draws=400, rng=RNG(5))[0, :, 0]
    assert drawn.mean() == pytest.approx(40, abs=6)
    assert drawn.std() == pytest.approx(40 / np.sqrt(2), rel=0.2)


@pytest.mark.parametrize("changes", [[5.0, 5.1, 5.2, 4.9], [5.0, 5.0, 5.0, 5.0]])
def test_changes_closer_together_than_their_noise_stay_together(changes):
    own = Measured(np.array([changes]), np.full((1, 4), 300.0), np.ones((1, 4)))
    drawn = true_changes(own, draws=200, rng=RNG(1))
    assert np.abs(drawn - 5.05).max() < 3


def test_draws_lie_between_the_points_of_the_grid_too():
    own = measured(RNG(8).normal(100, 60, 20), 50.0)
    drawn = true_changes(own, draws=1500, rng=RNG(9))[0, :, 0]
    assert np.unique(drawn).size == drawn.size


def test_changes_scale_with_the_load_of_each_participant():
    # Half have ten times the load, the spread and the noise: their draws must keep the spread.
    rng = RNG(6)
    load = np.repeat([100.0, 1000.0], 150)
    own = measured(rng.normal(0, 0.05 * load), 0.05 * load, load, seed=7)
    drawn = true_changes(own, draws=50, rng=rng)
    spread = [drawn[0, :, half].std() for half in (slice(0, 150), slice(150, 300))]
    assert spread[0] == pytest.approx(5, rel=0.25)
    assert spread[1] == pytest.approx(50, rel=0.25)


def test_the_unit_of_change_does_not_matter():
    own = measured(RNG(8).normal(100, 60, 40), 50.0)
    kilo = Measured(own.changes * 1000, own.noise * 1000, own.load)
    one, other = (true_changes(m, draws=5, rng=RNG(9)) for m in (own, kilo))
    assert other == pytest.approx(1000 * one, rel=1e-9)


def test_cohorts_of_a_batch_do_not_know_each_other():
    one, other = measured(RNG(1).normal(0, 5, 30), 4.0), measured(RNG(2).normal(900, 5, 30), 4.0)
    both = Measured(
        np.concatenate([one.changes, other.changes]),
        np.concatenate([one.noise, other.noise]),
        np.concatenate([one.load, other.load]),
    )
    drawn = true_changes(both, draws=100, rng=RNG(3))
    assert drawn[0].mean() == pytest.approx(one.changes.mean(), abs=1)
    assert drawn[1].mean() == pytest.approx(other.changes.mean(), abs=1)


@pytest.mark.parametrize("size", [60.0, 100.0])
def test_cliffs_delta_of_normal_cohorts_comes_back_on_average(size):
    cohorts, n = 60, 30
    quantiles = norm.ppf((np.arange(cohorts * n) + 0.5) / (cohorts * n))
    groups = [
        measured(centre + 80 * RNG(seed).permutation(quantiles).reshape(cohorts, n), size, seed=9)
        for seed, centre in enumerate((100.0, 0.0))
    ]
    delta = STATISTICS["Cliff's delta"]
    drawn = [true_changes(group, draws=4, rng=RNG(3)).reshape(cohorts * 4, n) for group in groups]
    truth = 2 * norm.cdf(100 / (80 * np.sqrt(2))) - 1
    naive = float(delta(groups[0].changes, groups[1].changes).mean())
    assert truth - naive > 0.07
    assert abs(float(delta(*drawn).mean()) - truth) < (truth - naive) / 3


def test_a_cohort_too_large_to_resample_is_corrected_all_the_same():
    rng = RNG(4)
    rates = Rates(rng.normal(9, 2, 90), rng.normal(5, 2, 80), np.full(90, 2.0), np.full(80, 2.0))
    found = deconvolved(rates, (np.ones(90), np.ones(80)), draws=0, seed=1)
    assert all(own.resampled.size == 0 and np.isfinite(own.estimate) for own in found.values())
    assert found["Cliff's delta"].estimate > float(
        STATISTICS["Cliff's delta"](rates.ms[None], rates.nmosd[None])[0]
    )


def test_resampled_estimates_scatter_about_the_estimate_as_participants_do():
    rng = RNG(5)
    values = rng.normal(200, 90, 25), rng.normal(30, 60, 24)
    rates = Rates(*values, np.full(25, 1.0), np.full(24, 1.0))
    found = deconvolved(rates, (np.ones(25), np.ones(24)), draws=200, seed=2)["MS"]
    rows = rng.integers(0, 25, (4000, 25))
    plain = pseudomedians(rates.ms[rows])
    assert found.resampled.mean() == pytest.approx(plain.mean(), abs=0.15 * plain.std())
    assert found.resampled.std() == pytest.approx(plain.std(), rel=0.15)
