"""Doubt as numbers: closed forms, and an order that no single extreme decides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.lesions.review_priority import (
    disagreement,
    ranked,
    uncertain_share,
    uncertain_volume_mm3,
)


def test_a_voxel_at_the_threshold_counts_whole_and_a_sure_one_not_at_all() -> None:
    probability = np.array([[[0.75, 0.0, 1.0]]])
    volume = uncertain_volume_mm3(probability, threshold=0.75, voxel_volume_mm3=3.0)
    assert volume == pytest.approx(3.0, abs=1e-3)
    # Log-odds of 0.5 and 0.9 are ln 9 apart: one chance in ten, on either side.
    tenth = -(0.1 * np.log2(0.1) + 0.9 * np.log2(0.9))
    for value, threshold in ((0.5, 0.9), (0.9, 0.5)):
        found = uncertain_volume_mm3(
            np.full((2, 2, 2), value), threshold=threshold, voxel_volume_mm3=0.5
        )
        assert found == pytest.approx(8 * 0.5 * tenth)


def test_disagreement_is_one_minus_dice_and_two_empty_masks_agree() -> None:
    first = np.array([1, 1, 1, 0, 0], bool)
    second = np.array([0, 1, 1, 1, 1], bool)
    assert disagreement(first, second) == pytest.approx(1 - 2 * 2 / 7)
    assert disagreement(first, first) == 0
    assert disagreement(first, ~np.ones(5, bool)) == 1
    assert disagreement(np.zeros(5, bool), np.zeros(5, bool)) == 0


def test_the_share_of_a_lesion_free_scan_stays_small() -> None:
    assert uncertain_share(0.0, 0.0) == 0
    assert uncertain_share(10.0, 0.0) == pytest.approx(10 / 110)
    assert uncertain_share(500.0, 400.0) == 0.5


def test_scans_are_ranked_by_the_mean_of_their_ranks() -> None:
    scans = pd.DataFrame(
        {
            "participant_id": ["sub-a", "sub-b", "sub-c", "sub-d"],
            "session_id": "ses-1",
            "disagreement": [0.1, 0.2, 0.9, 0.3],
            "uncertain_share": [0.4, 0.3, 0.1, 0.2],
            "quality_flags": [0, 2, 0, 0],
        }
    )
    table = ranked(scans)
    # Ranks from 1, less a half, of 4: a .125 .875 .375, b .375 .625 .875, c .875 .125 .375,
    # d .625 .375 .375 (a, c and d tie in flags at rank 2).
    expected = {"sub-b": 1.875 / 3, "sub-a": 1.375 / 3, "sub-c": 1.375 / 3, "sub-d": 1.375 / 3}
    assert dict(zip(table["participant_id"], table["priority"], strict=True)) == pytest.approx(
        expected
    )
    assert list(table["participant_id"]) == ["sub-b", "sub-a", "sub-c", "sub-d"]


def test_one_model_version_is_ranked_without_disagreement() -> None:
    scans = pd.DataFrame(
        {
            "participant_id": ["sub-a", "sub-b"],
            "session_id": "ses-1",
            "disagreement": [None, None],
            "uncertain_share": [0.1, 0.2],
            "quality_flags": [None, None],
        }
    )
    assert list(ranked(scans)["priority"]) == [0.75, 0.25]
