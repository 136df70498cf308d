"""Rank tests and their estimates against R."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.longitudinal import between, signed_rank
from lesion_dynamics.longitudinal.between import rank_sum_p, shift
from lesion_dynamics.longitudinal.paired import pseudomedian
from lesion_dynamics.longitudinal.signed_rank import signed_rank_p

HERE = Path(__file__).parent
EXPECTED = json.loads((HERE / "rank_tests.json").read_text())
TABLES = ["plain", "small", "skew", "zeros", "ties", "zeros_ties_skew"]
WITHOUT_TIES_OR_ZEROS = ["plain", "small", "skew"]
CLOSE = {"rel": 1e-6, "abs": 1e-9}


def changes(name: str, diagnosis: str) -> np.ndarray:
    table = pd.read_csv(HERE / "tables" / f"changes_{name}.tsv", sep="\t")
    return table.loc[table["diagnosis"] == diagnosis, "change"].to_numpy(dtype=float)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("diagnosis", ["MS", "NMOSD"])
def test_exact_signed_rank_p_is_that_of_coin(name, diagnosis):
    expected = EXPECTED[name]["signed_rank"][diagnosis]
    values = changes(name, diagnosis)
    for zero_method, key in (("pratt", "coin_pratt_exact"), ("wilcox", "coin_wilcoxon_exact")):
        found, _ = signed_rank_p(values, zero_method=zero_method)
        assert found == pytest.approx(expected[key], **CLOSE)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("diagnosis", ["MS", "NMOSD"])
def test_approximate_signed_rank_p_is_that_of_coin_and_of_stats(name, diagnosis, monkeypatch):
    monkeypatch.setattr(signed_rank, "EXACT_UP_TO", 0)
    expected = EXPECTED[name]["signed_rank"][diagnosis]
    values = changes(name, diagnosis)
    found, test = signed_rank_p(values, zero_method="wilcox")
    assert "approximation" in test
    assert found == pytest.approx(expected["stats_approximate"], **CLOSE)
    found, _ = signed_rank_p(values, zero_method="pratt")
    assert found == pytest.approx(expected["coin_pratt_asymptotic"], **CLOSE)


@pytest.mark.parametrize("name", TABLES)
def test_exact_rank_sum_p_is_that_of_coin(name):
    found, _ = rank_sum_p(changes(name, "MS"), changes(name, "NMOSD"))
    assert found == pytest.approx(EXPECTED[name]["rank_sum"]["coin_exact"], **CLOSE)


@pytest.mark.parametrize("name", TABLES)
def test_approximate_rank_sum_p_is_that_of_stats(name, monkeypatch):
    monkeypatch.setattr(between, "EXACT_UP_TO", 0)
    found, test = rank_sum_p(changes(name, "MS"), changes(name, "NMOSD"))
    assert "approximation" in test
    assert found == pytest.approx(EXPECTED[name]["rank_sum"]["stats_corrected"], **CLOSE)


@pytest.mark.parametrize("name", WITHOUT_TIES_OR_ZEROS)
@pytest.mark.parametrize("diagnosis", ["MS", "NMOSD"])
def test_pseudomedian_and_interval_are_those_of_stats_without_ties_and_zeros(name, diagnosis):
    expected = EXPECTED[name]["hodges_lehmann"][diagnosis]
    values = changes(name, diagnosis)
    found = pseudomedian(values, zero_method="wilcox", level=0.95)
    assert found.estimate == pytest.approx(expected["estimate"], **CLOSE)
    assert found.p_value == pytest.approx(expected["p"], **CLOSE)
    if np.isfinite(found.interval_low):
        assert found.interval_low == pytest.approx(expected["low"], **CLOSE)
        assert found.interval_high == pytest.approx(expected["high"], **CLOSE)
    else:  # five participants: R gives an interval of less than the level, with a warning
        assert values.size < 6


@pytest.mark.parametrize("name", TABLES)
def test_shift_is_that_of_coin_and_without_ties_so_is_its_interval(name):
    expected = EXPECTED[name]["rank_sum"]
    found = shift(changes(name, "MS"), changes(name, "NMOSD"), level=0.95)
    assert found.estimate == pytest.approx(expected["coin_estimate"], **CLOSE)
    if name in WITHOUT_TIES_OR_ZEROS:
        assert found.interval_low == pytest.approx(expected["coin_low"], **CLOSE)
        assert found.interval_high == pytest.approx(expected["coin_high"], **CLOSE)
        assert found.interval_low == pytest.approx(expected["stats"]["low"], **CLOSE)
    else:
        assert found.interval_low <= expected["coin_low"] + 1e-9
        assert found.interval_high >= expected["coin_high"] - 1e-9


def test_the_tables_are_what_their_script_writes(tmp_path, monkeypatch):
    from tests.reference import make_tables

    monkeypatch.setattr(make_tables, "FOLDER", tmp_path)
    make_tables.main()
    for path in sorted(tmp_path.iterdir()):
        assert path.read_bytes() == (HERE / "tables" / path.name).read_bytes(), path.name
