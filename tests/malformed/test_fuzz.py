"""Bytes of a header at random: an image that nibabel reads the same, or one line, never more."""

from __future__ import annotations

import gzip
import logging
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lesion_dynamics.cohort.table_text import read_rows
from lesion_dynamics.errors import CohortError, ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_header, read_image

HEADER_BYTES = {nib.Nifti1Image: 352, nib.Nifti2Image: 544}
VOXELS = np.arange(1, 61, dtype=np.int16).reshape(3, 4, 5)
# Fields that steer the reading, where flips are more telling than in the free text.
TELLING = st.one_of(
    st.integers(0, 351), st.integers(40, 55), st.integers(70, 123), st.integers(252, 351)
)
FLIPS = st.lists(st.tuples(TELLING, st.integers(0, 7)), min_size=1, max_size=5)  # fmt: skip
UNHURRIED = settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def read_or_refused(path: Path) -> Image | None:
    refusal = None
    try:
        header, image = read_header(path), read_image(path)
    except ScanError as error:
        refusal = error
    if refusal is not None:
        assert str(refusal).isprintable()
        assert str(path) in str(refusal)
        assert refusal.remedy
        return None
    assert header.shape == image.shape
    np.testing.assert_array_equal(header.affine, image.affine)
    assert np.isfinite(image.affine).all()
    assert np.isfinite(image.voxels).all()
    assert image.voxel_volume_mm3 > 0
    return image


def as_nibabel_reads(path: Path) -> tuple[np.ndarray, np.ndarray]:
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        image = nib.load(path)
        return np.asarray(image.dataobj, dtype=np.float32), image.affine


@pytest.mark.parametrize("kind", list(HEADER_BYTES), ids=["NIfTI-1", "NIfTI-2"])
@pytest.mark.parametrize("compressed", [False, True])
def test_flipped_bits_of_a_header(tmp_path: Path, kind: type, compressed: bool) -> None:
    made = kind(VOXELS, np.diag([2.0, 2.0, 3.0, 1.0]))
    made.set_qform(made.affine, 1)
    whole = made.to_bytes()
    path = tmp_path / ("scan.nii.gz" if compressed else "scan.nii")
    came_through = 0

    @UNHURRIED
    @given(FLIPS)
    def flip(flips: list[tuple[int, int]]) -> None:
        nonlocal came_through
        content = bytearray(whole)
        for place, bit in flips:
            content[place * HEADER_BYTES[kind] // 352] ^= 1 << bit
        path.write_bytes(gzip.compress(bytes(content)) if compressed else bytes(content))
        image = read_or_refused(path)
        if image is None:
            return
        came_through += 1
        voxels, affine = as_nibabel_reads(path)
        np.testing.assert_array_equal(image.voxels, voxels.reshape(image.shape))
        np.testing.assert_array_equal(image.affine, affine)

    flip()
    assert came_through >= 10  # the fuzz reaches both ends


@UNHURRIED
@given(place=st.integers(0, 10_000), value=st.integers(0, 255), kept=st.floats(0, 1))
def test_damage_anywhere_in_a_compressed_file(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, kept: float
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.nii.gz"
    content = bytearray(gzip.compress(nib.Nifti1Image(VOXELS, np.eye(4)).to_bytes(), mtime=0))
    content[place % len(content)] = value
    path.write_bytes(content[: max(1, int(len(content) * kept))])
    image = read_or_refused(path)
    if image is not None:  # gzip keeps no checksum of its own header's fields
        np.testing.assert_array_equal(image.voxels, VOXELS)


@UNHURRIED
@given(st.binary(max_size=300))
def test_any_bytes_as_an_image(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    for name in ("any.nii", "any.nii.gz"):
        path = tmp_path_factory.getbasetemp() / name
        path.write_bytes(content)
        assert read_or_refused(path) is None


@UNHURRIED
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda t: t.encode("utf-8"))))
def test_any_bytes_as_a_table(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.tsv"
    path.write_bytes(b"id\tvalue\n" + content)
    refusal = None
    try:
        header, rows = read_rows(path, required=("id",))
    except CohortError as error:
        refusal = error
    if refusal is not None:
        assert str(refusal).isprintable()
        assert refusal.where == str(path)
        return
    assert header == ["id", "value"]
    assert all(len(row) == 2 and "".join(row).isprintable() for row in rows)
