import math

import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.longitudinal.participant_bootstrap import drawn_counts, drawn_rows
from lesion_dynamics.longitudinal.verdicts import verdict
from lesion_dynamics.longitudinal.version_agreement import (
    class_changes,
    class_of,
    icc_absolute,
    resampled_icc,
    version_agreement,
)
from lesion_dynamics.longitudinal.version_differences import version_differences, version_pairs
from lesion_dynamics.settings.study import StudySettings

RATE = "annualised_change_mm3_per_year"
SETTINGS = StudySettings(name="test", bootstrap_draws=400)


def changes(rates: np.ndarray, *, n_ms: int = 20) -> pd.DataFrame:
    return pd.DataFrame(
        {"participant_id": [f"sub-{i:02d}" for i in range(rates.size)],
         "diagnosis": np.where(np.arange(rates.size) < n_ms, "MS", "NMOSD"),
         "first_lesion_volume_mm3": 1000.0 + 10 * np.arange(rates.size),
         "remission_change_mm3": rates, RATE: rates, "smallest_detectable_change_mm3": np.nan}
    )  # fmt: skip


def drawn(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 50, 40)


def test_pairs_are_neighbours_in_time_and_everyone_with_the_truth():
    assert version_pairs(["a/1", "a/2", "a/3"]) == [("a/1", "a/2"), ("a/2", "a/3")]
    assert version_pairs(["a/1", "truth"]) == [("truth", "a/1")]


def test_paired_differences_have_intervals_far_narrower_than_those_of_the_estimates():
    rates = drawn()
    other = rates + np.random.default_rng(1).normal(10, 2, rates.size)
    table = version_differences(
        changes(rates), changes(other), names=("m/1", "m/2"), settings=SETTINGS
    )
    row = table[(table["diagnosis"] == "MS") & (table["quantity"] == RATE)
                & (table["statistic"] == "pseudomedian")].iloc[0]  # fmt: skip
    assert row["difference"] == pytest.approx(10, abs=3)
    assert 5 < row["interval_low"] < row["difference"] < row["interval_high"] < 15
    between = table[(table["statistic"] == "shift") & (table["quantity"] == RATE)].iloc[0]
    assert between["interval_low"] < 0 < between["interval_high"]


def test_equal_versions_differ_by_nothing_and_say_so():
    table = version_differences(
        changes(drawn()), changes(drawn()), names=("m/1", "m/2"), settings=SETTINGS
    )
    assert (table["difference"] == 0).all()
    assert table["interval_low"].isna().all()
    assert table["note"].str.contains("differ by the same").all()


def test_fewer_than_three_are_not_resampled():
    table = version_differences(
        changes(drawn()[:22]), changes(drawn(1)[:22]), names=("m/1", "m/2"), settings=SETTINGS
    )
    nmosd = table[table["diagnosis"] == "NMOSD"]
    assert nmosd["interval_low"].isna().all()
    assert nmosd["note"].str.contains("2 participants: no interval").all()


@pytest.mark.parametrize(
    ("reference", "other", "gap", "expected"),
    [
        ((100, 0.01), (95, 0.02), (-20, 10), "kept"),
        ((100, 0.01), (60, 0.02), (-50, -20), "weakened"),
        ((100, 0.01), (130, 0.001), (20, 40), "kept"),
        ((100, 0.01), (50, 0.2), (-60, -40), "lost"),
        ((100, 0.01), (-90, 0.01), (-200, -150), "reversed"),
        ((10, 0.4), (12, 0.3), (-5, 5), "kept"),
        ((10, 0.4), (50, 0.01), (30, 60), "gained"),
        ((10, math.nan), (50, 0.01), (30, 60), "cannot be judged"),
        ((100, 0.01), (60, 0.02), (math.nan, math.nan), "kept"),
    ],
)
def test_verdict(reference, other, gap, expected):
    word, reason = verdict(reference, other, gap, alpha=0.05)
    assert word == expected
    assert reason


def test_resampled_icc_is_the_icc_of_the_participants_drawn():
    pairs = np.random.default_rng(1).normal(5000, 20, (12, 2))
    rows, counts = drawn_rows(12, 40, 3), drawn_counts(12, 40, 3)
    expected = [icc_absolute(pairs[own]) for own in rows]
    assert resampled_icc(pairs, counts) == pytest.approx(expected, rel=1e-8)
    alone = np.zeros((1, 12))
    alone[0, 4] = 12
    assert np.isnan(resampled_icc(pairs, alone)).all()


def test_icc_of_shrout_and_fleiss():
    # Shrout and Fleiss 1979, six targets and four judges: ICC(2,1) = 0.29.
    ratings = np.array(
        [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]],
        dtype=float,
    )
    assert icc_absolute(ratings) == pytest.approx(0.29, abs=0.005)


def test_a_constant_bias_is_seen_by_bland_altman_and_lowers_the_icc():
    rates = drawn()
    table = version_agreement(
        changes(rates), changes(rates + 25), names=("m/1", "m/2"), settings=SETTINGS
    )
    row = table[(table["diagnosis"] == "MS") & (table["quantity"] == RATE)].iloc[0]
    assert row[["bias", "limit_low", "limit_high"]].tolist() == pytest.approx([25, 25, 25])
    assert 0.5 < row["icc"] < 0.95
    same = table[table["quantity"] == "first_lesion_volume_mm3"]
    assert same["icc"].tolist() == pytest.approx([1, 1])


def test_limits_are_those_of_the_formula():
    rates, gaps = drawn(), np.random.default_rng(3).normal(5, 3, 40)
    table = version_agreement(
        changes(rates), changes(rates + gaps), names=("m/1", "m/2"), settings=SETTINGS
    )
    row = table[(table["diagnosis"] == "MS") & (table["quantity"] == RATE)].iloc[0]
    own = gaps[:20]
    assert row["limit_high"] == pytest.approx(own.mean() + 1.959964 * own.std(ddof=1))
    assert row["bias_low"] < own.mean() < row["bias_high"]


def test_classes_and_who_changes_them():
    assert class_of(5.0, math.nan) == "growing"
    assert class_of(5.0, 6.0) == class_of(0.0, math.nan) == "stable"
    assert class_of(-7.0, 6.0) == "shrinking"
    assert class_of(math.nan, 1.0) == "unknown"
    first, second = changes(np.array([5.0, 5, -5])), changes(np.array([5.0, -1, -5]))
    found = class_changes(first, second, names=("m/1", "m/2"))
    assert found["participant_id"].tolist() == ["sub-01"]
    assert found[["reference_class", "class"]].to_numpy().tolist() == [["growing", "shrinking"]]
