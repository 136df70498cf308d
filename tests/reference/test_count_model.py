"""The negative-binomial model against MASS::glm.nb."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.longitudinal.count_model import fit_counts
from lesion_dynamics.longitudinal.mixed_fit import FitRefusedError

HERE = Path(__file__).parent
EXPECTED = json.loads((HERE / "models.json").read_text())["negative_binomial"]


@pytest.mark.parametrize("name", ["study", "mild"])
def test_rates_are_those_of_glm_nb(name):
    table = pd.read_csv(HERE / "tables" / f"counts_{name}.tsv", sep="\t")
    nmosd = (table["diagnosis"] == "NMOSD").to_numpy(dtype=float)
    design = np.column_stack([np.ones(len(table)), nmosd, table["age"]])
    found = fit_counts(table["new"].to_numpy(dtype=float), table["years"].to_numpy(), design)
    expected = EXPECTED[name]
    assert found.coefficients == pytest.approx(expected["estimate"], rel=1e-6)
    assert np.sqrt(np.diag(found.covariance)) == pytest.approx(expected["se"], rel=1e-6)
    assert found.theta == pytest.approx(expected["theta"], rel=1e-5)
    assert found.log_likelihood == pytest.approx(expected["log_likelihood"], rel=1e-8)


def test_counts_without_overdispersion_are_refused():
    rng = np.random.default_rng(1)
    design = np.ones((40, 1))
    with pytest.raises(FitRefusedError, match="overdispersed"):
        fit_counts(rng.binomial(4, 0.5, 40).astype(float), np.ones(40), design)
    with pytest.raises(FitRefusedError, match="no new lesion"):
        fit_counts(np.zeros(40), np.ones(40), design)
