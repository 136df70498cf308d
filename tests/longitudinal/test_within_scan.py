"""Repeatability estimates against closed forms and simulated noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.longitudinal.within_scan import (
    noise_by_load,
    pooled_variances,
    scan_variances,
    smallest_detectable_change,
    summary,
)


def differences(*rows: tuple[str, str, float, float]) -> pd.DataFrame:
    """participant, perturbation, original and repeated volume."""
    names = ("participant_id", "perturbation", "original_lesion_volume_mm3", "lesion_volume_mm3")
    table = pd.DataFrame(rows, columns=list(names))
    diagnosis = table["participant_id"].str.startswith("sub-n").map({True: "NMOSD", False: "MS"})
    return table.assign(session_id="ses-01", diagnosis=diagnosis)


def test_two_measurements_have_half_the_squared_difference_as_variance() -> None:
    found = scan_variances(differences(("sub-1", "flip", 100.0, 130.0)))
    row = found.iloc[0]
    assert (row["variance_mm6"], row["freedom"]) == (pytest.approx(30**2 / 2), 1)
    assert (row["volume_mm3"], row["difference_mm3"]) == (115.0, 30.0)


def test_the_original_is_a_replicate_like_the_others() -> None:
    found = scan_variances(
        differences(("sub-1", "noise", 100.0, 130.0), ("sub-1", "noise", 100.0, 70.0))
    ).iloc[0]
    assert found["variance_mm6"] == pytest.approx(np.var([100, 130, 70], ddof=1))
    assert found["freedom"] == 2


def test_what_all_copies_have_in_common_is_no_noise() -> None:
    table = differences(
        ("sub-1", "noise", 100.0, 70.0), ("sub-1", "noise", 100.0, 74.0),
        ("sub-1", "flip", 100.0, 70.0), ("sub-2", "noise", 100.0, 50.0),
    )  # fmt: skip
    found = scan_variances(table, among_copies=["noise"])
    # One copy has nothing to be held against: sub-2 is left out.
    assert list(found["perturbation"]) == ["flip", "noise"]
    noise = found.set_index("perturbation").loc["noise"]
    assert (noise["volume_mm3"], noise["difference_mm3"]) == (72.0, -28.0)
    assert (noise["variance_mm6"], noise["freedom"]) == (pytest.approx(4**2 / 2), 1)
    assert found.set_index("perturbation").loc["flip", "variance_mm6"] == 30**2 / 2


def test_variances_of_independent_causes_add_and_a_scan_without_all_is_left_out() -> None:
    variances = scan_variances(
        differences(
            ("sub-1", "noise", 100.0, 130.0), ("sub-1", "shift", 100.0, 140.0),
            ("sub-1", "flip", 100.0, 900.0), ("sub-2", "noise", 100.0, 130.0),
        )
    )  # fmt: skip
    pooled = pooled_variances(variances, ["noise", "shift"])
    assert list(pooled["participant_id"]) == ["sub-1"]
    assert pooled["variance_mm6"].iloc[0] == pytest.approx(30**2 / 2 + 40**2 / 2)
    assert pooled["freedom"].iloc[0] == 2


def test_smallest_detectable_change_is_bland_and_altmans_coefficient() -> None:
    assert smallest_detectable_change(10.0) == pytest.approx(27.718, abs=1e-3)
    rng = np.random.default_rng(1)
    apart = np.abs(np.diff(rng.normal(0, 10, (100_000, 2)), axis=1))
    assert (apart > smallest_detectable_change(10.0)).mean() == pytest.approx(0.05, abs=0.003)


def test_the_summary_by_hand() -> None:
    variances = scan_variances(
        differences(
            ("sub-1", "flip", 500.0, 520.0), ("sub-2", "flip", 2000.0, 2100.0),
            ("sub-n", "flip", 4000.0, 3900.0),
        )
    )  # fmt: skip
    table = summary(variances, load_edges_mm3=(1000,), smallest_cv_volume_mm3=1000).set_index(
        ["diagnosis", "load_mm3"]
    )
    both = table.loc[("all", "all")]
    assert both["within_sd_mm3"] == pytest.approx(np.sqrt((200 + 5000 + 5000) / 3))
    assert both["coefficient_of_variation_percent"] == pytest.approx(
        100 * np.sqrt((5000 / 2050**2 + 5000 / 3950**2) / 2)
    )
    assert both["mean_difference_mm3"] == pytest.approx((20 + 100 - 100) / 3)
    assert both["scans_in_coefficient"] == 2
    assert np.isnan(table.loc[("all", "below 1000"), "coefficient_of_variation_percent"])
    assert table.loc[("MS", "1000 and more"), "within_sd_mm3"] == pytest.approx(np.sqrt(5000))
    assert ("NMOSD", "below 1000") not in table.index


def test_without_classes_of_load_there_is_one_row_for_all_and_a_diagnosis() -> None:
    variances = scan_variances(differences(("sub-1", "flip", 100.0, 130.0)))
    table = summary(variances, load_edges_mm3=[], smallest_cv_volume_mm3=50.0)
    assert list(zip(table["diagnosis"], table["load_mm3"], strict=True)) == [
        ("all", "all"), ("MS", "all"),
    ]  # fmt: skip


def test_noise_without_scatter_is_found_exactly() -> None:
    volumes = np.array([0.0, 100.0, 1000.0, 5000.0])
    found = noise_by_load(volumes, 20**2 + (0.03 * volumes) ** 2, np.ones(4))
    assert found == (pytest.approx(20.0), pytest.approx(0.03))
    assert noise_by_load(volumes, np.zeros(4), np.ones(4)) == (0.0, 0.0)


def test_lesion_free_scans_have_the_floor_alone() -> None:
    floor, share = noise_by_load(np.zeros(3), np.array([1.0, 4.0, 4.0]), np.array([1.0, 1, 2]))
    assert (floor, share) == (pytest.approx(np.sqrt(13 / 4)), 0.0)


def test_noise_is_found_again_in_simulated_scans() -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(60):
        volumes = np.exp(rng.normal(7, 1.3, 40))
        variance = 30**2 + (0.05 * volumes) ** 2
        found.append(noise_by_load(volumes, variance * rng.chisquare(3, 40) / 3, np.full(40, 3.0)))
    floors, shares = np.array(found).T
    assert np.median(floors) == pytest.approx(30, rel=0.06)
    assert np.median(shares) == pytest.approx(0.05, rel=0.06)
    # The largest scans alone do not decide: unweighted, floors scatter ten times as much.
    assert floors.std() < 10
