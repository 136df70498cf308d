import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.longitudinal.growth_model import growth
from lesion_dynamics.settings.models import ModelSettings

PLAIN = ModelSettings(transform="none", covariates=(), bootstrap_draws=0)


def cohort(
    *, scans: int = 4, slopes=(3.0, 1.0), slope_spread=1.0, noise=0.5, n=20, seed=0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(2 * n):
        slope = slopes[i >= n] + rng.normal(0, slope_spread)
        start = 100 + rng.normal(0, 20)
        rows += [
            (f"sub-{i:02d}", i, f"ses-{s}", float(s), start + slope * s + rng.normal(0, noise), "a")
            for s in range(scans)
        ]
    names = ["participant_id", "stretch", "session_id", "years", "lesion_volume_mm3", "scanner"]
    people = pd.DataFrame(
        {"participant_id": [f"sub-{i:02d}" for i in range(2 * n)],
         "diagnosis": ["MS"] * n + ["NMOSD"] * n, "age_years": rng.normal(40, 9, 2 * n),
         "sex": rng.choice(["F", "M"], 2 * n), "scanner": "a"}
    )  # fmt: skip
    return pd.DataFrame(rows, columns=names), people


def fitted(settings: ModelSettings = PLAIN, **changed):
    return growth(*cohort(**changed), settings=settings, level=0.95, seed=1)


def test_slopes_of_both_diagnoses_and_their_difference_come_back():
    found = fitted()
    assert found.slopes[0].estimate == pytest.approx(3, abs=0.6)
    assert found.slopes[1].estimate == pytest.approx(1, abs=0.6)
    difference = found.difference
    assert difference.estimate == pytest.approx(found.slopes[0].estimate - found.slopes[1].estimate)
    assert difference.p_value < 0.001
    assert difference.interval_low < 2 < difference.interval_high
    assert "random intercept and slope" in difference.test


def test_a_balanced_cohort_gives_the_t_test_of_the_participants_own_slopes():
    from scipy.stats import ttest_ind

    scans, people = cohort()
    own = np.array(
        [np.polyfit(g["years"], g["lesion_volume_mm3"], 1)[0] for _, g in scans.groupby("stretch")]
    )
    expected = ttest_ind(own[:20], own[20:])
    found = growth(scans, people, settings=PLAIN, level=0.95, seed=1).difference
    assert found.estimate == pytest.approx(own[:20].mean() - own[20:].mean(), rel=1e-6)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-3)


def test_without_spread_of_slopes_the_random_intercept_takes_over_and_says_so():
    found = next(
        f.difference
        for f in (fitted(slope_spread=0.0, noise=3.0, seed=seed) for seed in range(10))
        if f.difference.note
    )
    assert found.test == "mixed model with random intercept (REML), CR3 sandwich t"
    assert "random intercept and slope refused: singular" in found.note


def test_the_sandwich_is_the_jackknife_of_the_participants():
    from lesion_dynamics.longitudinal.cluster_robust import robust_contrasts
    from lesion_dynamics.longitudinal.mixed_fit import fit_mixed
    from lesion_dynamics.longitudinal.mixed_likelihood import participant_sums, solve

    scans, people = cohort(n=15)
    rows = scans.merge(people[["participant_id", "diagnosis"]], on="participant_id")
    years, nmosd = rows["years"].to_numpy(), (rows["diagnosis"] == "NMOSD").to_numpy(dtype=float)
    fixed = np.column_stack([np.ones(len(rows)), nmosd, years, years * nmosd])
    codes = rows["stretch"].to_numpy(dtype=np.int64)
    sums = participant_sums(rows["lesion_volume_mm3"].to_numpy(), fixed, fixed[:, :1], codes)
    fit = fit_mixed(sums)
    found = robust_contrasts(fit, np.eye(4), np.full(4, 28.0))
    # CR3: the sum of squared moves of the estimate when each participant is left out.
    moves = [solve(fit.theta, sums, row).beta - fit.solution.beta for row in 1 - np.eye(30)]
    assert [c.error for c in found] == pytest.approx(np.sqrt((np.array(moves) ** 2).sum(axis=0)))


def test_two_scans_each_leave_the_mean_of_own_slopes_without_a_p():
    found = fitted(scans=2)
    assert np.isnan(found.difference.p_value)
    assert "mean of the participants' own slopes" in found.difference.note
    assert found.difference.interval_method.startswith("bootstrap")
    assert found.difference.interval_low < 2 < found.difference.interval_high


def test_bootstrap_interval_agrees_with_the_models():
    settings = PLAIN.model_copy(update={"bootstrap_draws": 150})
    found = fitted(settings)
    again, plain = found.resampled[2], found.difference
    assert again.estimate == plain.estimate
    assert again.interval_method == "bootstrap BCa"
    width = plain.interval_high - plain.interval_low
    assert again.interval_low == pytest.approx(plain.interval_low, abs=0.25 * width)
    assert again.interval_high == pytest.approx(plain.interval_high, abs=0.25 * width)


def test_a_covariate_told_by_the_diagnosis_is_left_out_and_named():
    scans, people = cohort()
    everyone = ModelSettings(transform="none", bootstrap_draws=0)
    scanner = np.where(scans["stretch"] < 20, "a", "b")
    found = growth(scans.assign(scanner=scanner), people, settings=everyone, level=0.95, seed=1)
    assert "scanner left out" in found.difference.note
    assert "age" not in found.difference.note
    assert found.difference.n == 40


def test_a_covariate_that_few_lack_costs_those_participants_and_one_that_many_lack_is_left_out():
    scans, people = cohort()
    settings = ModelSettings(transform="none", covariates=("age",), bootstrap_draws=0)
    few = people.assign(age_years=people["age_years"].where(people.index != 3))
    found = growth(scans, few, settings=settings, level=0.95, seed=1).difference
    assert "1 participants without a covariate left out" in found.note
    assert found.n == 39
    many = people.assign(age_years=people["age_years"].where(people.index > 9))
    found = growth(scans, many, settings=settings, level=0.95, seed=1).difference
    assert "age left out: missing in 25% of participants" in found.note
    assert found.n == 40


def test_one_diagnosis_alone_is_not_fitted():
    scans, people = cohort()
    found = growth(scans[scans["stretch"] < 20], people, settings=PLAIN, level=0.95, seed=1)
    assert np.isnan(found.difference.estimate)
    assert "at least 3 are needed" in found.difference.note


@pytest.mark.parametrize("transform", ["cube_root", "log1p"])
def test_the_transform_changes_the_scale(transform):
    found = fitted(ModelSettings(transform=transform, covariates=(), bootstrap_draws=0))
    assert 0 < found.slopes[0].estimate < 0.1
