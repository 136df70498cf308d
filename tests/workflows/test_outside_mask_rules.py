"""One mask from outside: what its rule makes lesion, and what is refused."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from lesion_dynamics.errors import ScanError
from lesion_dynamics.settings.outside_masks import MaskRule
from lesion_dynamics.workflows.outside_masks import outside_mask

GRID = np.array([[0, -1, 0, 40], [1.5, 0, 0, -30], [0, 0, 3, 5], [0, 0, 0, 1]], dtype=float)
SHAPE = (6, 7, 4)


def written(path: Path, voxels: NDArray[np.generic], affine: NDArray[np.float64] = GRID) -> Path:
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


@pytest.fixture
def flair(tmp_path: Path) -> Path:
    return written(tmp_path / "flair.nii.gz", np.arange(168, dtype=np.float32).reshape(SHAPE))


LABELS = np.zeros(SHAPE, np.int16)
LABELS[1, 1, 1], LABELS[2, 3, :2], LABELS[4, 4, 2] = 99, 41, 3
PROBABILITIES = np.zeros(SHAPE, np.float32)
PROBABILITIES[1, 1, 1], PROBABILITIES[2, 3, :2] = 0.3, 0.29


@pytest.mark.parametrize(
    ("voxels", "rule", "count"),
    [
        ((LABELS == 99).astype(np.uint8) * 99, MaskRule(), 1),
        (LABELS, MaskRule(label=(99,)), 1),
        (LABELS, MaskRule(label=(99, 41)), 3),
        (LABELS, MaskRule(label="any"), 4),
        (LABELS, MaskRule(label="any", minimum_lesion_volume_mm3=9), 2),
        (LABELS, MaskRule(label=(7,)), 0),
        (PROBABILITIES, MaskRule(threshold=0.3), 1),
        (PROBABILITIES, MaskRule(threshold=0.25), 3),
    ],
)
def test_the_rule_decides_what_is_lesion(
    tmp_path: Path, flair: Path, voxels: NDArray[np.generic], rule: MaskRule, count: int
) -> None:
    mask = outside_mask(written(tmp_path / "mask.nii.gz", voxels), flair, rule)
    assert int(mask.voxels.sum()) == count
    np.testing.assert_array_equal(mask.affine, GRID)


@pytest.mark.parametrize(
    ("voxels", "rule", "message"),
    [
        (LABELS, MaskRule(), "a mask must hold 0 and one positive value"),
        (PROBABILITIES, MaskRule(label="any"), "0.3 is none"),
        (PROBABILITIES, MaskRule(), "a mask must hold 0 and one positive value"),
        (LABELS, MaskRule(threshold=0.5), "between 0 and 1"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, flair: Path, voxels: NDArray[np.generic], rule: MaskRule, message: str
) -> None:
    with pytest.raises(ScanError, match=message):
        outside_mask(written(tmp_path / "mask.nii.gz", voxels), flair, rule)


def test_axes_in_another_order_are_put_right_without_loss(tmp_path: Path, flair: Path) -> None:
    image = nib.Nifti1Image(LABELS, GRID)
    canonical = nib.as_closest_canonical(image)
    assert canonical.shape != image.shape
    nib.save(canonical, tmp_path / "mask.nii.gz")
    mask = outside_mask(tmp_path / "mask.nii.gz", flair, MaskRule(label="any"))
    np.testing.assert_array_equal(mask.voxels, LABELS > 0)


@pytest.mark.parametrize("what", ["resampled", "shifted"])
def test_a_mask_on_another_grid_is_refused_and_never_resampled(
    tmp_path: Path, flair: Path, what: str
) -> None:
    voxels = LABELS[::2] if what == "resampled" else LABELS
    affine = GRID.copy()
    affine[0, 3] += 0.5
    path = written(tmp_path / "mask.nii.gz", voxels, affine)
    with pytest.raises(ScanError, match="not on the grid of its FLAIR") as refused:
        outside_mask(path, flair, MaskRule(label="any"))
    assert "resample it there yourself" in refused.value.remedy
