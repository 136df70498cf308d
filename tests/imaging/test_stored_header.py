"""What stands in a header is said as it stands there, and equal files have equal fingerprints."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.stored_header import read_stored_header

AFFINE = np.array([[-1.0, 0, 0, 90], [0, 1.5, 0, -120], [0, 0, 2, -70], [0, 0, 0, 1]])


def _image(kind=nib.Nifti1Image, dtype=np.int16, value=3):
    image = kind(np.full((4, 5, 6), value, dtype), AFFINE)
    image.set_qform(AFFINE, code=1)
    image.header.set_xyzt_units("mm")
    return image


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_the_fields_are_those_of_nibabel(tmp_path, kind, name):
    image = _image(kind)
    image.header["intent_code"] = 1002
    image.to_filename(tmp_path / name)
    found = read_stored_header(tmp_path / name)
    np.testing.assert_allclose(found.sform, AFFINE)
    np.testing.assert_allclose(found.qform, AFFINE, atol=1e-4)
    assert found.data_type == "int16"
    assert found.length_unit == "mm"
    assert found.pixdim_mm == (1.0, 1.5, 2.0)
    assert found.intent_code == 1002
    assert not found.qform_damaged


def test_a_big_endian_header_is_read(tmp_path):
    header = nib.Nifti1Header(endianness=">")
    nib.Nifti1Image(np.ones((2, 3, 4), np.float32), AFFINE, header).to_filename(tmp_path / "a.nii")
    found = read_stored_header(tmp_path / "a.nii")
    np.testing.assert_allclose(found.sform, AFFINE)
    assert found.data_type == "float32"


@pytest.mark.parametrize(("unit", "said"), [(0, "unknown"), (1, "metres"), (3, "microns")])
def test_units_and_forms_that_are_not_given_are_not_made_up(tmp_path, unit, said):
    image = _image()
    image.set_sform(None, code=0)
    image.header["xyzt_units"] = unit | 8  # with seconds
    image.to_filename(tmp_path / "a.nii")
    found = read_stored_header(tmp_path / "a.nii")
    assert found.sform is None
    assert found.qform is not None
    assert found.length_unit == said


@pytest.mark.parametrize("quaternion", [(np.nan, 0.0, 0.0), (0.9, 0.9, 0.9)])
def test_a_qform_that_is_no_rotation_is_damaged(tmp_path, quaternion):
    image = _image()
    content = bytearray(image.to_bytes())
    content[256:268] = np.array(quaternion, "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    found = read_stored_header(tmp_path / "a.nii")
    assert found.qform is None
    assert found.qform_damaged


def test_equal_content_has_one_fingerprint_however_it_was_compressed(tmp_path):
    content = _image().to_bytes()
    other = _image(value=4).to_bytes()
    files = {
        "one": gzip.compress(content, 1),
        "two": gzip.compress(content, 9, mtime=5),
        "other": gzip.compress(other, 1),
        "ended": gzip.compress(content) + gzip.compress(b""),
    }
    found = {}
    for name, stored in files.items():
        (tmp_path / f"{name}.nii.gz").write_bytes(stored)
        found[name] = read_stored_header(tmp_path / f"{name}.nii.gz")
    assert found["one"].same_bytes
    assert found["one"].fingerprint == found["two"].fingerprint != found["other"].fingerprint
    assert not found["ended"].same_bytes
    for name, stored in (("a", content), ("b", other)):
        (tmp_path / f"{name}.nii").write_bytes(stored)
        found[name] = read_stored_header(tmp_path / f"{name}.nii")
    assert found["a"].fingerprint == found["b"].fingerprint  # size and header only
    assert not found["a"].same_bytes


@pytest.mark.parametrize(
    "content", [b"", b"abc", b"\x1f\x8bnothing", bytes(400), b"\x5c\x01\0\0" + bytes(99)]
)
def test_what_is_no_nifti_file_is_refused(tmp_path, content):
    (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(ScanError, match="header cannot be read"):
        read_stored_header(tmp_path / "a.nii.gz")
