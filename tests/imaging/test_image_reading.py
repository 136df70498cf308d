"""Every file that cannot be used is refused with one clear line, and nothing else."""

import contextlib
import gzip
import logging
import struct

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.reading import read_header, read_image, read_mask, read_probability

HEADER_BYTES = 352


def _with_header_bytes(path, offset, layout, *values):
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<" + layout, content, offset, *values)
    path.write_bytes(gzip.compress(bytes(content)))
    return path


def test_intensities_and_geometry_arrive_as_they_were_written(nifti, noise, grid):
    affine, volume = grid
    image = read_image(nifti(noise, affine))
    np.testing.assert_array_equal(image.voxels, noise)
    np.testing.assert_allclose(image.affine, affine, atol=1e-5)
    assert image.voxel_volume_mm3 == pytest.approx(volume, rel=1e-5)
    assert image.voxels.dtype == np.float32


def test_the_header_alone_gives_the_same_grid(nifti, noise, grid):
    path = nifti(noise, grid[0])
    header, image = read_header(path), read_image(path)
    assert header.shape == image.shape
    np.testing.assert_array_equal(header.affine, image.affine)


def test_trailing_dimensions_of_one_are_no_series(nifti, noise):
    assert read_image(nifti(noise[..., None])).shape == noise.shape


def test_scaled_integers_are_read_scaled(tmp_path):
    image = nib.Nifti1Image(np.arange(8, dtype=np.int16).reshape(2, 2, 2), np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    image.to_filename(tmp_path / "a.nii.gz")
    read = read_image(tmp_path / "a.nii.gz").voxels
    stored = np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj)
    np.testing.assert_allclose(read, stored)


@pytest.mark.parametrize(
    ("name", "kept"), [("scan.nii.gz", 0.5), ("scan.nii", 0.5), ("scan.nii.gz", 0.98)]
)
def test_a_truncated_file_is_refused(nifti, noise, name, kept):
    path = nifti(noise, name=name)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ScanError, match="truncated"):
        read_image(path)


def test_damage_that_only_the_checksum_shows_is_refused(nifti, noise):
    path = nifti(noise)
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ScanError, match="damaged"):
        read_image(path)


def test_a_file_that_holds_more_than_its_header_claims_is_refused(nifti, noise):
    path = nifti(noise)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"\1" * 100_000))
    with pytest.raises(ScanError, match="more voxels than its header claims"):
        read_image(path)


def test_padding_behind_the_last_voxel_is_accepted(nifti, noise):
    path = nifti(noise)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"\0" * 512))
    np.testing.assert_array_equal(read_image(path).voxels, noise)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_a_small_file_that_claims_a_huge_image_is_refused_by_its_header(nifti, noise, name):
    path = nifti(noise, name=name)
    content = path.read_bytes() if name.endswith("nii") else gzip.decompress(path.read_bytes())
    claim = content[:42] + struct.pack("<hhh", 800, 800, 800) + content[48:]
    path.write_bytes(claim if name.endswith("nii") else gzip.compress(claim))
    with pytest.raises(ScanError, match="too small for the 800 x 800 x 800"):
        read_header(path)


def test_more_voxels_than_any_head_scan_are_refused(nifti, noise):
    path = _with_header_bytes(nifti(noise), 42, "hhh", 30000, 30000, 30000)
    with pytest.raises(ScanError, match="no head scan is that large"):
        read_header(path)


def test_a_series_is_refused(nifti):
    path = nifti(np.ones((4, 5, 6, 3), dtype=np.float32))
    with pytest.raises(ScanError, match="4 x 5 x 6 x 3: not one 3D image"):
        read_header(path)


def test_one_slice_is_refused(nifti):
    with pytest.raises(ScanError, match="not one 3D image"):
        read_header(nifti(np.ones((4, 5, 1), dtype=np.float32)))


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_an_image_without_contrast_is_refused(nifti, value):
    with pytest.raises(ScanError, match=f"every voxel is {value:g}"):
        read_image(nifti(np.full((4, 5, 6), value, dtype=np.float32)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_refused_and_counted(nifti, noise, value):
    noise[1, 2, :3] = value
    with pytest.raises(ScanError, match="3 NaN or infinite"):
        read_image(nifti(noise))


def test_values_beyond_single_precision_are_refused_as_infinite(nifti, noise):
    voxels = noise.astype(np.float64)
    voxels[0, 0, 0] = 1e300
    with pytest.raises(ScanError, match="1 NaN or infinite"):
        read_image(nifti(voxels))


@pytest.mark.parametrize("dtype", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_colours_and_complex_numbers_are_refused(nifti, dtype):
    with pytest.raises(ScanError, match="colours or complex"):
        read_header(nifti(np.ones((4, 5, 6), dtype=dtype)))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ScanError, match="no such file"):
        read_header(tmp_path / "none.nii.gz")


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x1f\x8b"])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(ScanError, match="not a readable NIfTI"):
        read_header(tmp_path / "a.nii.gz")


def test_voxels_in_other_units_than_millimetres_are_refused(nifti, noise):
    with pytest.raises(ScanError, match=r"0\.001 x 0\.001 x 0\.001 mm"):
        read_header(nifti(noise, np.diag([0.001, 0.001, 0.001, 1.0])))


def test_an_affine_that_is_flat_is_refused(nifti, noise):
    path = _with_header_bytes(nifti(noise), 280, "12f", *([0.0] * 12))
    with pytest.raises(ScanError, match="not finite or not invertible"):
        read_header(path)


def test_disagreeing_forms_are_remarked_on_and_sform_wins(nifti, noise):
    path = nifti(noise, np.eye(4))
    image = nib.load(path)
    moved = np.eye(4)
    moved[0, 3] = 5
    image.set_sform(moved, 1)
    image.to_filename(path)
    header = read_header(path)
    assert header.remarks == ("sform and qform disagree by up to 5.0 mm; sform is used",)
    assert header.affine[0, 3] == 5


def test_a_damaged_qform_beside_a_good_sform_is_a_remark(nifti, noise):
    path = _with_header_bytes(nifti(noise), 256, "fff", 5, 5, 5)
    assert read_header(path).remarks == ("the qform is damaged; sform is used",)


def test_a_header_without_orientation_is_remarked_on(nifti, noise):
    path = _with_header_bytes(nifti(noise), 252, "hh", 0, 0)
    assert "no orientation" in read_header(path).remarks[0]


def test_shear_is_remarked_on(nifti, noise, sheared_affine):
    assert (
        "the voxel axes are not perpendicular" in read_header(nifti(noise, sheared_affine)).remarks
    )


@pytest.mark.parametrize("one", [1, 255])
def test_a_mask_becomes_0_and_1(nifti, one):
    voxels = np.zeros((4, 5, 6), dtype=np.uint8)
    voxels[1:3, 2, 2] = one
    mask = read_mask(nifti(voxels))
    assert mask.voxels.dtype == np.uint8
    np.testing.assert_array_equal(mask.voxels, voxels // one)


def test_an_empty_mask_is_a_lesion_free_scan(nifti):
    assert read_mask(nifti(np.zeros((4, 5, 6), dtype=np.uint8))).voxels.sum() == 0


@pytest.mark.parametrize(
    "values", [(0, 1, 2), (0, 0.3, 1), (0, 0.1, 0.2), (0, -1, 0), (0, np.nan, 1), (np.nan,) * 3]
)
def test_what_is_not_a_mask_is_refused(nifti, values):
    voxels = np.resize(np.array(values, dtype=np.float32), (4, 5, 6))
    with pytest.raises(ScanError, match="a mask must hold 0 and one positive value"):
        read_mask(nifti(voxels))


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_what_is_not_a_probability_is_refused(nifti, value):
    voxels = np.full((4, 5, 6), 0.5, dtype=np.float32)
    voxels[0, 0, 0] = value
    with pytest.raises(ScanError, match="between 0 and 1"):
        read_probability(nifti(voxels))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    changes=st.lists(
        st.tuples(st.integers(0, HEADER_BYTES - 1), st.integers(0, 255)), min_size=1, max_size=6
    ),
    compressed=st.booleans(),
)
def test_no_damage_to_a_header_gives_anything_but_an_image_or_a_scan_error(
    tmp_path, changes, compressed
):
    logging.getLogger("nibabel").setLevel(logging.CRITICAL)
    voxels = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    content = bytearray(nib.Nifti1Image(voxels, np.eye(4)).to_bytes())
    for offset, value in changes:
        content[offset] = value
    path = tmp_path / ("a.nii.gz" if compressed else "a.nii")
    path.write_bytes(gzip.compress(bytes(content)) if compressed else bytes(content))
    for read in (read_header, read_image, read_mask, read_probability):
        with contextlib.suppress(ScanError):
            read(path)
