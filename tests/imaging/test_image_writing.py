"""What is written comes back voxel by voxel, and the same image gives the same bytes."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lesion_dynamics.errors import OutputError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_image, read_mask, read_probability
from lesion_dynamics.imaging.writing import (
    write_displacement,
    write_intensities,
    write_mask,
    write_probability,
)

PROBABILITY_STEP = 1 / 255


def _image(voxels, affine=None):
    return Image(voxels=voxels, affine=np.eye(4) if affine is None else affine)


def test_a_mask_comes_back_voxel_by_voxel_on_every_kind_of_grid(tmp_path, grid):
    affine, volume = grid
    mask = _image((np.random.default_rng(0).random((5, 6, 7)) > 0.7).astype(np.uint8), affine)
    write_mask(tmp_path / "a.nii.gz", mask)
    back = read_mask(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(back.voxels, mask.voxels)
    assert back.on_same_grid_as(mask)
    assert back.voxel_volume_mm3 * back.voxels.sum() == pytest.approx(
        volume * mask.voxels.sum(), rel=1e-5
    )


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(hnp.arrays(np.float32, (3, 4, 5), elements=st.floats(0, 1, width=32)))
def test_probabilities_come_back_within_half_a_step(tmp_path, voxels):
    write_probability(tmp_path / "a.nii.gz", _image(voxels))
    back = read_probability(tmp_path / "a.nii.gz").voxels
    assert np.abs(back - voxels).max() <= PROBABILITY_STEP / 2 + 1e-6


def test_certain_probabilities_come_back_exactly(tmp_path):
    voxels = np.zeros((3, 4, 5), dtype=np.float32)
    voxels[1] = 1
    write_probability(tmp_path / "a.nii.gz", _image(voxels))
    np.testing.assert_allclose(read_probability(tmp_path / "a.nii.gz").voxels, voxels, atol=1e-6)


def test_whole_intensities_come_back_exactly(tmp_path, grid):
    voxels = np.random.default_rng(1).integers(-300, 4000, (5, 6, 7)).astype(np.float32)
    image = _image(voxels, grid[0])
    write_intensities(tmp_path / "a.nii.gz", image)
    back = read_image(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(back.voxels, voxels)
    assert back.on_same_grid_as(image)


def test_the_same_image_gives_the_same_bytes_under_any_name(tmp_path, noise):
    write_intensities(tmp_path / "a.nii.gz", _image(noise))
    write_intensities(tmp_path / "below" / "b.nii.gz", _image(noise.copy(order="F")))
    first = (tmp_path / "a.nii.gz").read_bytes()
    assert first == (tmp_path / "below" / "b.nii.gz").read_bytes()
    assert b"a.nii" not in first
    assert first[4:8] == bytes(4)  # the time in the gzip header


def test_both_forms_say_the_same_where_qform_can(tmp_path, oblique_affine):
    write_mask(tmp_path / "a.nii.gz", _image(np.ones((3, 4, 5), dtype=np.uint8), oblique_affine))
    header = nib.load(tmp_path / "a.nii.gz").header
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-4)
    np.testing.assert_allclose(header.get_sform(), oblique_affine, atol=1e-5)


def test_a_file_where_the_folder_should_be_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_mask(tmp_path / "file" / "a.nii.gz", _image(np.ones((2, 2, 2), dtype=np.uint8)))


def test_a_failed_write_leaves_neither_a_new_file_nor_a_broken_old_one(tmp_path, monkeypatch):
    mask = _image(np.ones((2, 2, 2), dtype=np.uint8))
    write_mask(tmp_path / "a.nii.gz", mask)
    before = (tmp_path / "a.nii.gz").read_bytes()

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gzip.GzipFile.write", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write_mask(tmp_path / "a.nii.gz", mask.with_voxels(mask.voxels * 0))
    assert (tmp_path / "a.nii.gz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii.gz"]


def test_a_displacement_field_is_read_by_itk_in_its_own_convention(tmp_path):
    import SimpleITK as sitk

    field = np.random.default_rng(0).normal(0, 3, (4, 5, 6, 3)).astype(np.float32)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [-7, 3, 11]
    write_displacement(tmp_path / "xfm.nii.gz", field, affine)
    read = sitk.ReadImage(tmp_path / "xfm.nii.gz", sitk.sitkVectorFloat64)
    transform = sitk.DisplacementFieldTransform(read)
    lps = np.array([-1.0, -1.0, 1.0])
    point = (affine @ [1, 2, 3, 1])[:3]
    found = np.array(transform.TransformPoint(tuple(point * lps))) * lps
    np.testing.assert_allclose(found, point + field[1, 2, 3], atol=1e-5)
