"""Pictures of a validation: the slices that matter, the right way up, the same bytes twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.report.validation_pictures import (
    Example,
    _canonical,
    draw_examples,
    draw_learning_curves,
    draw_reliability,
    slices_with_most,
)


def test_slices_hold_most_of_the_mask_and_keep_their_distance() -> None:
    mask = np.zeros((10, 10, 30), dtype=bool)
    mask[:5, :5, 20] = True
    mask[:4, :5, 21] = True  # too near
    mask[:3, :3, 10] = True
    mask[0, 0, 2] = True
    assert slices_with_most(mask, distance=4) == [2, 10, 20]


def test_a_scan_without_lesions_shows_its_middle() -> None:
    assert slices_with_most(np.zeros((4, 4, 31), dtype=bool), distance=5) == [10, 15, 20]


def test_a_flat_scan_repeats_a_slice_rather_than_fail() -> None:
    assert slices_with_most(np.zeros((4, 4, 2), dtype=bool), distance=5) == [1, 1, 1]


def test_voxels_are_turned_to_right_anterior_superior() -> None:
    voxels = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = -3.0, -1.0, 2.0, 1.0
    found = _canonical(Image(voxels, affine))
    assert found.shape == (3, 4, 2)
    np.testing.assert_array_equal(found.voxels, voxels.transpose(1, 2, 0)[::-1, :, ::-1])
    np.testing.assert_allclose(found.affine[:3, :3], np.diag([1.0, 2.0, 3.0]))
    corner = affine @ [0, 2, 0, 1]
    np.testing.assert_allclose(found.affine @ [0, 0, 1, 1], corner)


@pytest.fixture
def example() -> Example:
    flair = np.random.default_rng(1).normal(100, 10, (20, 24, 18)).astype(np.float32)
    reference = np.zeros(flair.shape, dtype=np.uint8)
    reference[5:9, 5:9, 8:10] = 1
    return Example(
        "worst: Dice 0.10", Image(flair, np.eye(4)), reference, np.roll(reference, 2, axis=0)
    )


def test_the_same_scans_give_the_same_bytes_and_another_mask_others(
    example: Example, tmp_path: Path
) -> None:
    first, again, other = (tmp_path / name for name in "abc")
    changed = Example(
        example.title, example.flair, example.reference, np.zeros_like(example.reference)
    )
    for folder, shown in ((first, example), (again, example), (other, changed)):
        draw_examples(folder, [shown, shown])
    name = "validation_examples.png"
    assert (first / name).read_bytes() == (again / name).read_bytes()
    assert (first / name).read_bytes() != (other / name).read_bytes()


def test_curves_show_every_point_that_there_is(tmp_path: Path) -> None:
    history = [
        {"step": 10.0, "training_loss": 1.0, "learning_rate": 0.1},
        {"step": 20.0, "training_loss": 0.5, "learning_rate": 0.05, "validation_score": 0.4},
    ]
    png, _ = draw_learning_curves(tmp_path / "both", history)
    shorter, _ = draw_learning_curves(tmp_path / "one", history[:1])
    assert imread(png).std() > 0
    assert png.read_bytes() != shorter.read_bytes()


def test_reliability_leaves_out_bins_without_voxels(tmp_path: Path) -> None:
    rows = [
        {"voxel_count": 5, "mean_probability": 0.3, "lesion_frequency": 0.4},
        {"voxel_count": 0, "mean_probability": None, "lesion_frequency": None},
    ]
    with_empty, _ = draw_reliability(tmp_path / "with", rows)
    without, _ = draw_reliability(tmp_path / "without", rows[:1])
    assert with_empty.read_bytes() == without.read_bytes()
