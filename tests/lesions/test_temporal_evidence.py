"""Evidence shared between sessions: as much as the image allows, and none where it changed."""

from __future__ import annotations

import numpy as np
import pytest

from lesion_dynamics.lesions.temporal_evidence import (
    from_log_odds,
    log_odds,
    shared_log_odds,
    unchanged,
)

SHAPE = (40, 40, 40)
SIZES = (1.5, 1.5, 1.5)


def noise(seed: int) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).normal(size=SHAPE)).astype(np.float32)


def everywhere() -> np.ndarray:
    return np.arange(40**3)


def test_log_odds_and_back() -> None:
    probability = np.array([0.0, 0.01, 0.5, 0.9, 1.0], dtype=np.float32)
    back = from_log_odds(log_odds(probability))
    np.testing.assert_allclose(back, probability, atol=0.0021)
    np.testing.assert_allclose(back[1:4], probability[1:4], rtol=1e-5)


def test_shared_log_odds_are_the_weighted_mean() -> None:
    own, other = np.array([1.0, 1.0, 1.0]), np.array([4.0, 4.0, 4.0])
    found = shared_log_odds(own, [other, -other], [np.array([0, 1, 0.5]), np.array([0, 0, 0.5])])
    np.testing.assert_allclose(found, [1.0, 2.5, 0.5])
    np.testing.assert_allclose(shared_log_odds(own, [], []), own)


def test_weights_of_noise_alone_are_those_of_a_normal_difference() -> None:
    """E exp(-x^2 / 2) of a standard normal x is 1 / sqrt(2)."""
    inside = np.ones(SHAPE, dtype=bool)
    weights = unchanged(noise(1), noise(2), inside, everywhere(), voxel_sizes_mm=SIZES)
    assert weights.mean() == pytest.approx(np.sqrt(0.5), abs=0.02)


def test_what_varies_slowly_is_no_change() -> None:
    inside = np.ones(SHAPE, dtype=bool)
    field = np.linspace(-0.4, 0.4, 40, dtype=np.float32)[:, None, None]
    weights = unchanged(noise(1), noise(2) + field, inside, everywhere(), voxel_sizes_mm=SIZES)
    inner = weights.reshape(SHAPE)[6:-6, 6:-6, 6:-6]
    assert inner.mean() == pytest.approx(np.sqrt(0.5), abs=0.08)


def test_changed_tissue_has_no_weight_and_the_outside_none_at_all() -> None:
    inside = np.ones(SHAPE, dtype=bool)
    inside[30:] = False
    own, other = noise(1), noise(2)
    other[10:14, 10:14, 10:14] += 1.5
    weights = unchanged(own, other, inside, everywhere(), voxel_sizes_mm=SIZES).reshape(SHAPE)
    assert weights[10:14, 10:14, 10:14].max() < 1e-3
    assert not weights[30:].any()
    assert weights[20:28, 20:28, 20:28].mean() > 0.6
    nothing = unchanged(own, other, np.zeros(SHAPE, dtype=bool), everywhere(), voxel_sizes_mm=SIZES)
    assert not nothing.any()
