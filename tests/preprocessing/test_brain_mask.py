"""Brain masks of stripped images, and the way to deepbet and back."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing import brain_mask
from lesion_dynamics.preprocessing.brain_mask import brain_of, brain_of_stripped


def test_a_stripped_image_is_its_own_mask_with_holes_filled(brain: Image) -> None:
    voxels = brain.voxels.copy()
    voxels[30:33, 40:43, 30:33] = 0  # a ventricle with the background's value
    found = brain_of_stripped(brain.with_voxels(voxels))
    assert found.voxels.dtype == np.uint8
    assert found.voxels[31, 41, 31] == 1
    assert found.voxels[(brain.voxels > 0)].mean() > 0.999


def test_the_background_may_have_any_value_and_brain_may_touch_the_border(brain: Image) -> None:
    shifted = brain.with_voxels(brain.voxels - 512)
    np.testing.assert_array_equal(
        brain_of_stripped(shifted).voxels, brain_of_stripped(brain).voxels
    )
    cut = Image(brain.voxels[:, :, 20:], brain.affine)
    assert cut.voxels[:, :, 0].any()
    assert brain_of_stripped(cut).voxels[brain.voxels[:, :, 20:] > 0].mean() > 0.99


def test_specks_beside_the_brain_are_no_brain(brain: Image) -> None:
    voxels = brain.voxels.copy()
    voxels[2, 2, 2:5] = 300
    assert brain_of_stripped(brain.with_voxels(voxels)).voxels[2, 2].sum() == 0


@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_a_brain_of_impossible_size_is_refused(brain: Image, scale: float) -> None:
    affine = brain.affine.copy()
    affine[:3, :3] *= scale
    with pytest.raises(ScanError, match=r"holds \d+ ml"):
        brain_of(Image(brain.voxels, affine), skull_stripped=True)


def test_a_whole_head_that_counts_as_stripped_is_refused(brain: Image) -> None:
    noise = np.random.default_rng(0).normal(20, 3, brain.shape).astype(np.float32)
    with pytest.raises(ScanError, match=r"no constant background.*unset it"):
        brain_of(brain.with_voxels(brain.voxels + noise), skull_stripped=True)


class DeepbetThatThresholds:
    """Takes what is bright for brain, and keeps what it was shown."""

    seen: np.ndarray

    def run_model(self, voxels: np.ndarray) -> np.ndarray:
        self.seen = voxels
        return (voxels > 400).astype(np.float32)

    def postprocess(self, mask: np.ndarray) -> np.ndarray:
        if not mask.any():
            raise ValueError("attempt to get argmax of an empty sequence")
        return mask


@pytest.mark.parametrize("axes", ["LPS", "PIR", "SAL"])
def test_deepbet_sees_canonical_axes_and_its_mask_comes_home(
    brain: Image, axes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deepbet = DeepbetThatThresholds()
    monkeypatch.setattr(brain_mask, "_deepbet_network", lambda: deepbet)
    image = nib.Nifti1Image(brain.voxels, brain.affine)
    wanted = nib.orientations.ornt_transform(
        nib.io_orientation(brain.affine), nib.orientations.axcodes2ornt(axes)
    )
    turned = image.as_reoriented(wanted)
    native = Image(np.asarray(turned.dataobj, dtype=np.float32), turned.affine)
    found = brain_of(native, skull_stripped=False)
    canonical = nib.as_closest_canonical(turned)
    np.testing.assert_array_equal(deepbet.seen, np.asarray(canonical.dataobj))
    np.testing.assert_array_equal(found.voxels, native.voxels > 400)
    assert found.on_same_grid_as(native)


def test_an_image_without_a_brain_is_one_line_for_the_user(
    brain: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brain_mask, "_deepbet_network", DeepbetThatThresholds)
    with pytest.raises(ScanError, match="deepbet found no brain"):
        brain_of(brain.with_voxels(brain.voxels * 0), skull_stripped=False)
