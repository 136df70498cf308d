"""What stands in a NIfTI header before anybody interprets it, and a cheap fingerprint of a file.

:mod:`lesion_dynamics.imaging.reading` decides whether an image can be used; this says what its
writer left in the header, contradictions included. Field names as in nifti1.h
(https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h).
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.geometry import Affine

_NIFTI1_BYTES, _NIFTI2_BYTES = 348, 540
_FIRST_BLOCK = 4096  # compressed, it holds more than a header
_GZIP = b"\x1f\x8b"
_GZIP_TRAILER_BYTES = 8
_UNITS = {0: "unknown", 1: "metres", 2: "mm", 3: "microns"}


@dataclass(frozen=True, slots=True)
class StoredHeader:
    """Raw facts of one file.

    data_type : numpy's name of the stored voxels' type.
    sform, qform : (4, 4) in the header's length unit; None where its code is 0 or it is damaged.
    qform_damaged : there is a qform code, but no finite affine can be made of it.
    length_unit : mm, metres, microns or unknown.
    pixdim_mm : the voxel sizes that the header gives beside its affine.
    intent_code : 0 for an image; others for statistics, labels, vectors.
    fingerprint : equal for files of equal bytes. ``same_bytes`` says whether equal fingerprints
        prove that: those of gzip files hold the checksum of all decompressed bytes, those of
        uncompressed files only size and header.
    """

    data_type: str
    sform: Affine | None
    qform: Affine | None
    qform_damaged: bool
    length_unit: str
    pixdim_mm: tuple[float, float, float]
    intent_code: int
    fingerprint: str
    same_bytes: bool


def read_stored_header(path: Path) -> StoredHeader:
    """Read the first and the last bytes of a ``.nii`` or ``.nii.gz`` file, no voxel.

    Raises
    ------
    ScanError : not a NIfTI file.
    """
    try:
        size, first, last = _ends_of(path)
        header = _parsed(_decompressed(first))
    except (OSError, zlib.error, ValueError, HeaderDataError) as error:
        raise ScanError(
            f"the header cannot be read ({error})",
            where=path,
            remedy="Copy or export the scan again as .nii or .nii.gz.",
        ) from error
    qform, damaged = _qform(header)
    sizes = header["pixdim"][1:4]
    compressed = first.startswith(_GZIP)
    # A writer may end with an empty gzip block, whose checksum is that of nothing: 0.
    same_bytes = compressed and last[:4] != b"\0\0\0\0"
    known = last if same_bytes else header.binaryblock + size.to_bytes(8, "little")
    return StoredHeader(
        data_type=_type_name(header),
        sform=np.array(header.get_sform(), dtype=np.float64) if header["sform_code"] else None,
        qform=qform,
        qform_damaged=damaged,
        length_unit=_UNITS.get(int(header["xyzt_units"]) & 7, "unknown"),
        pixdim_mm=(float(sizes[0]), float(sizes[1]), float(sizes[2])),
        intent_code=int(header["intent_code"]),
        fingerprint=hashlib.blake2b(known, digest_size=16).hexdigest(),
        same_bytes=same_bytes,
    )


def _ends_of(path: Path) -> tuple[int, bytes, bytes]:
    """Size of the file, its first block and its last bytes."""
    with path.open("rb", buffering=0) as file:
        first = file.read(_FIRST_BLOCK)
        size = file.seek(0, 2)
        file.seek(max(0, size - _GZIP_TRAILER_BYTES))
        return size, first, file.read(_GZIP_TRAILER_BYTES)


def _decompressed(first: bytes) -> bytes:
    if not first.startswith(_GZIP):
        return first[:_NIFTI2_BYTES]
    return zlib.decompressobj(wbits=31).decompress(first, _NIFTI2_BYTES)


def _parsed(content: bytes) -> Any:
    """The header as nibabel takes it, nothing mended."""
    orders: tuple[tuple[Literal["little", "big"], str], ...] = (("little", "<"), ("big", ">"))
    for endianness, order in orders:
        size = int.from_bytes(content[:4], endianness)
        if size == len(content[:size]) == _NIFTI1_BYTES:
            return nib.Nifti1Header(content[:size], endianness=order, check=False)
        if size == len(content[:size]) == _NIFTI2_BYTES:
            return nib.Nifti2Header(content[:size], endianness=order, check=False)
    raise ValueError("no NIfTI header")


def _type_name(header: Any) -> str:
    try:
        return str(np.dtype(header.get_data_dtype()).newbyteorder("=").name)
    except (HeaderDataError, KeyError):
        return "unknown"


def _qform(header: Any) -> tuple[Affine | None, bool]:
    if not header["qform_code"]:
        return None, False
    try:
        qform = np.array(header.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError, ArithmeticError):
        return None, True
    return (qform, False) if np.isfinite(qform).all() else (None, True)
