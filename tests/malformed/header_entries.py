"""NIfTI headers: damaged, lying, odd but right. Offsets are those of nifti1.h."""

# ruff: noqa: E501 (a table: one entry, one line)
from __future__ import annotations

import struct
from pathlib import Path

import nibabel as nib
import numpy as np
from tests.malformed.entry import Damage, Entry, flair, pack, t1w, unpacked, with_fields
from tests.malformed.good_cohort import AFFINE, SHAPE, image, voxels_of

DIM, DATATYPE, BITPIX, PIXDIM, VOX_OFFSET, SLOPE, INTER, UNITS = 40, 70, 72, 76, 108, 112, 116, 123
QFORM, SFORM, QUATERN, SROW, MAGIC, EXTENDER = 252, 254, 256, 280, 344, 348
NAN, INF = float("nan"), float("inf")
NO_SFORM = (SFORM, "h", (0,))
EXPORT = "xport the scan again"
REPAIR = "Repair the header"


def dims(*sizes: int, both: bool = False) -> Damage:
    return with_fields((DIM, f"{len(sizes)}h", sizes), both=both)


def srow(matrix: np.ndarray) -> Damage:
    return with_fields((SROW, "12f", tuple(matrix[:3].ravel())))


def changed_affine(row: int, column: int, value: float) -> Damage:
    matrix = AFFINE.copy()
    matrix[row, column] = value
    return srow(matrix)


def rewritten(kind: type, *, swapped: bool = False, voxels: np.ndarray | None = None) -> Damage:
    """The same scan as another program would write it."""

    def damage(root: Path) -> None:
        for path, sequence in ((flair(root), "FLAIR"), (t1w(root), "T1w")):
            own = voxels_of(1, sequence) if voxels is None else voxels
            header = kind.header_class(endianness=">" if swapped else "<")
            made = kind(own, AFFINE, header)
            made.set_data_dtype(own.dtype)
            made.to_filename(path)

    return damage


def as_voxels(voxels: np.ndarray) -> Damage:
    return lambda root: image(voxels).to_filename(flair(root))


def huge_nifti2(root: Path) -> None:
    made = nib.Nifti2Image(voxels_of(1, "FLAIR"), AFFINE)
    content = bytearray(made.to_bytes())
    struct.pack_into("<4q", content, 16, 3, 2**32, 2**32, 2)  # 2**65 wraps to 0 in 64 bits
    pack(flair(root), content)


def with_extension(*, said: int, held: int) -> Damage:
    """A header extension of ``held`` bytes that says it has ``said``."""

    def damage(root: Path) -> None:
        content = unpacked(flair(root))
        struct.pack_into("<f", content, VOX_OFFSET, 352 + held)
        content[EXTENDER] = 1
        block = struct.pack("<ii", said, 4).ljust(held, b"x")
        pack(flair(root), content[:352] + block + content[352:])

    return damage


def sheared() -> np.ndarray:
    matrix = AFFINE.copy()
    matrix[0, 1] = 0.5
    return matrix


RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
X, Y, Z = SHAPE

HEADERS = [
    Entry("sizeof_hdr 0", with_fields((0, "i", (0,))), "excluded", says="sizeof_hdr 0", way_out=EXPORT),
    Entry("sizeof_hdr 349", with_fields((0, "i", (349,))), "excluded", says="sizeof_hdr 349", way_out=EXPORT),
    Entry("magic of nobody", with_fields((MAGIC, "4s", (b"n?1\0",))), "excluded", says="magic", way_out=EXPORT),
    Entry("Analyze without magic", with_fields((MAGIC, "4s", (b"",))), "excluded", says="Analyze", way_out=EXPORT),
    Entry("header of a pair", with_fields((MAGIC, "4s", (b"ni1\0",))), "excluded", says=".hdr and .img pair", way_out="Convert"),
    Entry("no dimension", dims(0), "excluded", says="0 dimensions", way_out=REPAIR),
    Entry("eight dimensions", dims(8), "excluded", says="8 dimensions", way_out=REPAIR),
    Entry("minus three dimensions", dims(-3), "excluded", says="-3 dimensions", way_out=REPAIR),
    Entry("negative size", dims(3, -X, Y, Z), "excluded", says="-26 x 30 x 24", way_out=REPAIR),
    Entry("size of zero", dims(3, X, 0, Z), "excluded", says="26 x 0 x 24", way_out=REPAIR),
    Entry("two dimensions", dims(2, X, Y), "excluded", says="26 x 30: not one 3D image", way_out="3D image per sequence"),
    Entry("a single slice", dims(3, X, Y, 1), "excluded", says="not one 3D image", way_out="3D image per sequence"),
    Entry("series of two", as_voxels(np.ones((*SHAPE, 2), np.int16)), "excluded", says="26 x 30 x 24 x 2", way_out="split a 4D series"),
    Entry("series of one", dims(4, X, Y, Z, 1), "read"),
    Entry("five dimensions of which two are one", dims(5, X, Y, Z, 1, 1), "read"),
    Entry("2^31 voxels", dims(3, 2048, 1024, 1024), "excluded", says="no head scan is that large", way_out=EXPORT),
    Entry("32767 cubed", dims(3, 32767, 32767, 32767), "excluded", says="no head scan is that large", way_out=EXPORT),
    Entry("800 cubed in a few bytes", dims(3, 800, 800, 800), "excluded", says="too small for the 800 x 800 x 800", way_out=EXPORT),
    Entry("2^65 voxels in NIfTI-2", huge_nifti2, "excluded", says="no head scan is that large", way_out=EXPORT),
    Entry("two slices too many", dims(3, X, Y, Z + 2, both=True), "excluded", says="ends before its image", way_out=EXPORT),
    Entry("twelve slices too few", dims(3, X, Y, Z - 12, both=True), "excluded", says="more voxels than its header claims", way_out=EXPORT),
    Entry("NaN in the sform", changed_affine(0, 0, NAN), "excluded", says="not finite", way_out=REPAIR),
    Entry("infinity in the sform", changed_affine(1, 3, INF), "excluded", says="not finite", way_out=REPAIR),
    Entry("sform without an axis", changed_affine(2, 2, 0.0), "excluded", says="not invertible", way_out=REPAIR),
    Entry("sform of zeros", srow(np.zeros((4, 4))), "excluded", says="not invertible", way_out=REPAIR),
    Entry("sform in metres", srow(AFFINE / 1000), "excluded", says="0.005 x 0.005 x 0.005 mm", way_out=REPAIR),
    Entry("voxels of 5 cm", srow(AFFINE * 10), "excluded", says="50 x 50 x 50 mm", way_out=REPAIR),
    Entry("sheared sform", with_fields((SROW, "12f", tuple(sheared()[:3].ravel())), both=True), "read", changes=True),
    Entry("pixdim 0 under a qform", with_fields(NO_SFORM, (PIXDIM + 4, "f", (0.0,))), "excluded", says="0 x 5 x 5 mm (pixdim)", way_out=REPAIR),
    Entry("pixdim NaN under a qform", with_fields(NO_SFORM, (PIXDIM + 8, "f", (NAN,))), "excluded", says="5 x nan x 5 mm (pixdim)", way_out=REPAIR),
    Entry("pixdim 0 under an sform", with_fields((PIXDIM + 4, "f", (0.0,)), both=True), "read"),
    Entry("negative pixdim under an sform", with_fields((PIXDIM + 4, "f", (-5.0,)), both=True), "read"),
    Entry("quaternion that is none", with_fields(NO_SFORM, (QUATERN, "3f", (5.0, 5.0, 5.0))), "excluded", says="orientation is damaged", way_out=REPAIR),
    Entry("quaternion of NaN", with_fields(NO_SFORM, (QUATERN, "3f", (NAN, NAN, NAN))), "excluded", file="FLAIR.nii.gz", way_out=REPAIR),
    Entry("qfac 5", with_fields(NO_SFORM, (PIXDIM, "f", (5.0,)), both=True), "read", changes=True),
    Entry("qform alone", with_fields(NO_SFORM, both=True), "read"),
    Entry("sform alone", with_fields((QFORM, "h", (0,)), both=True), "read"),
    Entry("no orientation at all", with_fields((QFORM, "hh", (0, 0)), both=True), "read", changes=True),
    Entry("unknown units", with_fields((UNITS, "B", (0,))), "read"),
    Entry("metres", with_fields((UNITS, "B", (1,))), "excluded", says="in metres", way_out="xyzt_units"),
    Entry("microns", with_fields((UNITS, "B", (3 + 8,))), "excluded", says="in microns", way_out="xyzt_units"),
    Entry("complex numbers", as_voxels(np.ones(SHAPE, np.complex64)), "excluded", says="colours or complex", way_out="magnitude"),
    Entry("colours", as_voxels(np.ones(SHAPE, RGB)), "excluded", says="colours or complex", way_out="magnitude"),
    Entry("datatype of nobody", with_fields((DATATYPE, "h", (9999,))), "excluded", says="datatype 9999", way_out=EXPORT),
    Entry("single bits", with_fields((DATATYPE, "h", (1,))), "excluded", says="datatype 1", way_out=EXPORT),
    Entry("wrong bitpix", with_fields((BITPIX, "h", (64,))), "read"),
    Entry("slope NaN", with_fields((SLOPE, "f", (NAN,))), "read"),
    Entry("slope 0", with_fields((SLOPE, "f", (0.0,))), "read"),
    Entry("slope infinite", with_fields((SLOPE, "f", (INF,))), "excluded", says="scales intensities by inf", way_out=REPAIR),
    Entry("intercept NaN", with_fields((SLOPE, "ff", (2.0, NAN))), "excluded", says="adds nan", way_out=REPAIR),
    Entry("slope beyond float32", with_fields((SLOPE, "f", (1e37,))), "excluded", says="NaN or infinite", way_out=EXPORT),
    Entry("voxels in the header", with_fields((VOX_OFFSET, "f", (100.0,))), "excluded", says="byte 100", way_out=REPAIR),
    Entry("voxels at 0", with_fields((VOX_OFFSET, "f", (0.0,))), "excluded", says="byte 0", way_out=REPAIR),
    Entry("voxels at NaN", with_fields((VOX_OFFSET, "f", (NAN,))), "excluded", says="byte nan", way_out=REPAIR),
    Entry("voxels at 2^31", with_fields((VOX_OFFSET, "f", (2.0**31,))), "excluded", says="vox_offset", way_out=REPAIR),
    Entry("voxels behind the end", with_fields((VOX_OFFSET, "f", (60_000.0,))), "excluded", says="ends before its image", way_out=EXPORT),
    Entry("other byte order", rewritten(nib.Nifti1Image, swapped=True), "read"),
    Entry("NIfTI-2", rewritten(nib.Nifti2Image), "read"),
    Entry("NIfTI-2 in the other byte order", rewritten(nib.Nifti2Image, swapped=True), "read"),
    Entry("with an extension", with_extension(said=64, held=64), "read"),
    Entry("extension lying about its size", with_extension(said=2**31 - 1, held=64), "read"),
    Entry("extension of negative size", with_extension(said=-16, held=64), "read"),
]  # fmt: skip
