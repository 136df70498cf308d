import numpy as np
import pytest
from scipy.stats import norm

from lesion_dynamics.longitudinal.participant_bootstrap import deltas, pseudomedians, shifts
from lesion_dynamics.longitudinal.simex import (
    STATISTICS,
    Rates,
    _pairs,
    noise_free_sign,
    noise_levels,
    simex,
    simex_draws,
)


def rates(*, noise: float, n: int = 12, seed: int = 1) -> Rates:
    rng = np.random.default_rng(seed)
    ms, nmosd = rng.normal(200, 90, n), rng.normal(30, 60, n - 1)
    return Rates(ms, nmosd, np.full(n, noise), np.full(n - 1, noise))


@pytest.mark.parametrize("name", list(STATISTICS))
def test_without_noise_nothing_is_corrected(name):
    own = rates(noise=0.0)
    plain = float(STATISTICS[name](own.ms[None], own.nmosd[None])[0])
    assert simex(own, name, order=7) == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize("order", [2, 3, 7])
def test_on_average_a_frequency_comes_back_as_the_polynomial_says(order):
    # A sign measured with noise s is on average 2 Phi(d / s) - 1: noise level 0 of the curve.
    # The corrected sign must be on average the polynomial through levels 1 + level, at 0.
    distance, s = 1.3, 0.8
    noise = s * norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    found = noise_free_sign(distance + noise, np.full(noise.size, s), order=order).mean()
    levels = np.array(noise_levels(order))
    curve = 2 * norm.cdf(distance / (s * np.sqrt(1 + levels))) - 1
    expected = np.polyval(np.polyfit(1 + levels, curve, order - 1), 0.0)
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_normal_cohort_gives_cliffs_delta_of_its_noise_free_self():
    # Differences N(1, 2 (1 + s^2)) measured, N(1, 2) in truth.
    s, quantiles = 0.8, (np.arange(700) + 0.5) / 700
    spread = np.sqrt(1 + s**2)
    own = Rates(
        ms=1 + spread * norm.ppf(quantiles), nmosd=spread * norm.ppf(quantiles),
        ms_noise=np.full(700, s), nmosd_noise=np.full(700, s),
    )  # fmt: skip
    truth = 2 * norm.cdf(1 / np.sqrt(2)) - 1
    measured = float(deltas(own.ms[None], own.nmosd[None])[0])
    errors = [abs(simex(own, "Cliff's delta", order=order) - truth) for order in (2, 3, 7)]
    assert abs(measured - truth) > 0.09
    assert errors[0] < abs(measured - truth) / 2
    assert errors[1] < abs(measured - truth) / 3
    assert errors[2] < 0.01


def test_a_skewed_group_gets_its_pseudomedian_back():
    rng = np.random.default_rng(3)
    true = rng.lognormal(0, 1.2, 600)
    s = 1.0
    seen = true + s * rng.standard_normal(600)
    own = Rates(seen, seen[:3], np.full(600, s), np.full(3, s))
    truth, naive = (float(pseudomedians(v[None])[0]) for v in (true, seen))
    assert abs(simex(own, "MS", order=2) - truth) < 0.75 * abs(naive - truth)


@pytest.mark.parametrize(
    ("name", "direct"),
    [("MS", lambda a, b: pseudomedians(a)), ("shift", shifts), ("Cliff's delta", deltas)],
)
def test_weights_of_pairs_are_the_pairs_of_drawn_participants(name, direct):
    own = rates(noise=0.0, n=6)
    rows = np.array([0, 0, 2, 3, 3, 3]), np.array([1, 1, 2, 4, 4])
    counts = [np.bincount(rows[i], minlength=6 - i)[None].astype(float) for i in (0, 1)]
    pairs = _pairs(own, name)
    weights = pairs.weights(counts[0], counts[0] if name == "MS" else counts[1])[0]
    assert weights.sum() == (6 * 7 / 2 if name == "MS" else 6 * 5)
    repeated = np.repeat(pairs.values, weights.astype(int))
    plain = float(direct(own.ms[rows[0]][None], own.nmosd[rows[1]][None])[0])
    found = np.sign(repeated).mean() if name == "Cliff's delta" else np.median(repeated)
    assert found == pytest.approx(plain)


@pytest.mark.parametrize("name", list(STATISTICS))
def test_draws_without_noise_scatter_as_the_plain_bootstrap(name):
    own = rates(noise=1e-9, n=25)
    rng = np.random.default_rng(5)
    drawn = simex_draws(own, name, order=3, draws=4000, rng=rng)
    rows = rng.integers(0, 25, (4000, 25)), rng.integers(0, 24, (4000, 24))
    plain = STATISTICS[name](own.ms[rows[0]], own.nmosd[rows[1]])
    assert drawn.mean() == pytest.approx(plain.mean(), abs=0.1 * plain.std())
    assert drawn.std() == pytest.approx(plain.std(), rel=0.06)
