"""Calibration in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from lesion_dynamics.lesions.calibration import pooled, reliability

EVERYWHERE = np.ones((10, 10, 10))


def test_a_probability_that_is_right_as_often_as_it_says_has_no_error() -> None:
    probability = np.full((10, 10, 10), 0.25, dtype=np.float32)
    reference = np.zeros((10, 10, 10), dtype=np.uint8)
    reference.ravel()[:250] = 1
    found = reliability(probability, reference, within=EVERYWHERE)
    assert found.expected_calibration_error() == pytest.approx(0.0)
    row = next(row for row in found.table() if row["voxel_count"])
    assert (row["from_probability"], row["to_probability"]) == (0.2, 0.3)
    assert (row["mean_probability"], row["lesion_frequency"]) == pytest.approx((0.25, 0.25))


def test_the_error_is_the_mean_gap_weighted_by_voxels() -> None:
    """300 voxels say 0.95 and are lesion in 150; 700 say 0.002 and never are."""
    probability = np.full(1000, 0.002, dtype=np.float32)
    probability[:300] = 0.95
    reference = np.zeros(1000, dtype=np.uint8)
    reference[:150] = 1
    shape = (10, 10, 10)
    found = reliability(probability.reshape(shape), reference.reshape(shape), within=EVERYWHERE)
    assert found.expected_calibration_error() == pytest.approx(0.3 * 0.45 + 0.7 * 0.002, abs=1e-6)
    assert found.expected_calibration_error(lowest=0.01) == pytest.approx(0.45, abs=1e-6)


def test_edges_belong_to_the_bin_above_and_one_to_the_last() -> None:
    probability = np.array([0.0, 0.01, 0.5, 1.0], dtype=np.float32).reshape(1, 1, 4)
    found = reliability(probability, np.zeros((1, 1, 4)), within=np.ones((1, 1, 4)))
    assert found.voxel_count.tolist() == [1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1]


def test_voxels_outside_are_not_counted_and_none_at_all_is_undefined() -> None:
    probability = np.full((10, 10, 10), 0.9, dtype=np.float32)
    nothing = reliability(probability, EVERYWHERE, within=np.zeros((10, 10, 10)))
    assert nothing.expected_calibration_error() is None
    assert all(row["mean_probability"] is None for row in nothing.table())
    half = EVERYWHERE.copy()
    half[5:] = 0
    assert reliability(probability, EVERYWHERE, within=half).voxel_count.sum() == 500


def test_pooling_is_counting_together() -> None:
    rng = np.random.default_rng(1)
    probability = rng.random((10, 10, 10)).astype(np.float32)
    reference = (rng.random((10, 10, 10)) < probability).astype(np.uint8)
    halves = [
        reliability(probability[part], reference[part], within=EVERYWHERE[part])
        for part in (np.s_[:4], np.s_[4:])
    ]
    whole = reliability(probability, reference, within=EVERYWHERE)
    assert pooled(halves).expected_calibration_error() == pytest.approx(
        whole.expected_calibration_error()
    )
    assert pooled([]).expected_calibration_error() is None
