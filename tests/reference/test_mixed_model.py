"""The mixed model against lme4 and lmerTest."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.longitudinal.mixed_fit import FitRefusedError, fit_mixed
from lesion_dynamics.longitudinal.mixed_likelihood import gradient, participant_sums, solve
from lesion_dynamics.longitudinal.satterthwaite import contrasts

HERE = Path(__file__).parent
EXPECTED = json.loads((HERE / "models.json").read_text())["mixed"]


def sums(name: str, *, slope: bool):
    table = pd.read_csv(HERE / "tables" / f"volumes_{name}.tsv", sep="\t")
    years = table["years"].to_numpy()
    nmosd = (table["diagnosis"] == "NMOSD").to_numpy(dtype=float)
    # R centred on the mean of participants.
    age = (table["age"] - table.groupby("participant_id")["age"].mean().mean()).to_numpy()
    sex = (table["sex"] == "M").to_numpy(dtype=float)
    one = np.ones(len(table))
    fixed = np.column_stack([one, years, nmosd, age, sex, years * nmosd])
    random = np.column_stack([one, years])[:, : 2 if slope else 1]
    codes = pd.factorize(table["participant_id"])[0].astype(np.int64)
    return participant_sums(table["volume"].to_numpy(), fixed, random, codes)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("study", "slope"), ("study", "intercept"), ("noisy", "intercept"), ("small", "slope"),
     ("small", "intercept")],
)  # fmt: skip
def test_fit_is_that_of_lme4_and_its_tests_are_those_of_lmertest(name, kind):
    expected = EXPECTED[name][kind]
    fit = fit_mixed(sums(name, slope=kind == "slope"))
    assert fit.solution.deviance == pytest.approx(expected["reml_criterion"], rel=1e-6)
    assert fit.solution.sigma == pytest.approx(expected["sigma"], rel=1e-3)
    deviations = fit.random_deviations
    assert deviations == pytest.approx(expected["random"][: deviations.size], rel=1e-3)
    found = contrasts(fit, np.eye(6))
    assert [c.value for c in found] == pytest.approx(expected["estimate"], rel=1e-3)
    assert [c.error for c in found] == pytest.approx(expected["se"], rel=1e-3)
    assert [c.degrees for c in found] == pytest.approx(expected["df"], rel=1e-3)
    assert [c.p_value for c in found] == pytest.approx(expected["p"], rel=1e-2)
    assert [c.p_value for c in found] == pytest.approx(expected["p"], abs=1e-3)


def test_what_lme4_calls_singular_is_refused():
    assert EXPECTED["noisy"]["slope"]["singular"]
    with pytest.raises(FitRefusedError, match="singular"):
        fit_mixed(sums("noisy", slope=True))


@pytest.mark.parametrize("slope", [True, False])
def test_the_gradient_is_that_of_differences(slope):
    own = sums("small", slope=slope)
    rng = np.random.default_rng(2)
    weights = rng.integers(0, 4, own.scans.size).astype(float)
    theta = np.array([1.3, -0.4, 0.7])[: 3 if slope else 1]
    found = gradient(theta, own, solve(theta, own, weights), weights)
    for i in range(theta.size):
        ends = []
        for step in (1e-5, -1e-5):
            moved = theta.copy()
            moved[i] += step
            ends.append(solve(moved, own, weights).deviance)
        assert found[i] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-5)


def test_drawing_a_participant_twice_is_having_the_rows_twice():
    once = sums("small", slope=True)
    weights = np.ones(once.scans.size)
    weights[0], weights[1] = 2, 0
    theta = np.array([3.0, -0.2, 0.5])
    found = solve(theta, once, weights)
    keep = [0, 0, *range(2, once.scans.size)]
    repeated = type(once)(once.zz[keep], once.zxy[keep], once.xyxy[keep], once.scans[keep])
    expected = solve(theta, repeated)
    assert found.deviance == pytest.approx(expected.deviance, rel=1e-12)
    assert found.beta == pytest.approx(expected.beta, rel=1e-9)
