"""The first bytes of what calls itself a NIfTI file: a header, or something else by its name.

Nothing behind these bytes is touched, so a broken or hostile file costs no memory here.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Literal, NamedTuple

from lesion_dynamics.errors import ScanError
from lesion_dynamics.input_files import first_bytes

NIFTI1_BYTES, NIFTI2_BYTES = 348, 540
_STORED_BYTES = 65_536  # of the file; compressed, they hold more than one header
_GZIP = b"\x1f\x8b"
_EXPORT = "Export the scan again as .nii or .nii.gz, or leave this session out."
_RESTORE = "Restore the file, or leave this session out."


class HeaderBytes(NamedTuple):
    """The bytes of a NIfTI header and how to take them.

    version : of the format, 1 or 2. endianness : ``<`` or ``>``. compressed : the file is gzip.
    """

    content: bytes
    version: Literal[1, 2]
    endianness: Literal["<", ">"]
    compressed: bool


def read_header_bytes(path: Path) -> HeaderBytes:
    """The header's bytes of a ``.nii`` or ``.nii.gz`` file.

    Raises
    ------
    ScanError : no file, no NIfTI file, or one whose name says another compression than it has.
    """
    compressed = _compressed_by_name(path)
    stored = first_bytes(path, _STORED_BYTES, refusal=ScanError, restore=_RESTORE)
    if not stored:
        raise _no_nifti("it is empty (0 bytes)", path)
    if stored.startswith(_GZIP) != compressed and not _is_foreign(stored):
        is_now, should_be = ("", ".nii") if compressed else ("gzip-compressed", ".nii.gz")
        raise ScanError(
            f"not a readable NIfTI file under this name: it is {is_now or 'not compressed'}",
            where=path,
            remedy=f"Rename it to {should_be}.",
        )
    start = _decompressed(stored, path) if stored.startswith(_GZIP) else stored
    if start.startswith(_GZIP):
        raise _no_nifti("it was compressed twice", path, "Run gunzip on it once.")
    return _as_header(start, compressed, path)


def _compressed_by_name(path: Path) -> bool:
    name = path.name.lower()
    if not name.endswith((".nii", ".nii.gz")):
        raise ScanError(
            "only .nii and .nii.gz files are read",
            where=path,
            remedy="Convert it to .nii.gz (nib-convert, mri_convert or dcm2niix do that).",
        )
    return name.endswith(".gz")


def _decompressed(stored: bytes, path: Path) -> bytes:
    """The start of what is compressed; shorter where the file is.

    Member by member, for a gzip file may hold several.
    """
    start = b""
    try:
        while stored and len(start) < NIFTI2_BYTES:
            member = zlib.decompressobj(wbits=31)  # gzip's wrapper
            start += member.decompress(stored, NIFTI2_BYTES - len(start))
            stored = member.unused_data if member.eof else b""
        return start
    except zlib.error as error:
        raise _no_nifti(f"its compressed data are damaged ({error})", path) from error


def _as_header(start: bytes, compressed: bool, path: Path) -> HeaderBytes:
    foreign = _foreign_kind(start)
    if foreign is not None:
        raise _no_nifti(f"it is {foreign}", path)
    if len(start) < NIFTI1_BYTES:
        raise _no_nifti(f"it ends within its header ({len(start)} bytes; truncated)", path)
    for endianness in ("<", ">"):
        (size,) = struct.unpack(f"{endianness}i", start[:4])
        if size == NIFTI1_BYTES:
            _require_magic(start[344:348], b"n+1\0", path)
            return HeaderBytes(start[:NIFTI1_BYTES], 1, endianness, compressed)
        if size == NIFTI2_BYTES and len(start) >= NIFTI2_BYTES:
            _require_magic(start[4:12], b"n+2\0\r\n\x1a\n", path)
            return HeaderBytes(start[:NIFTI2_BYTES], 2, endianness, compressed)
    (size,) = struct.unpack("<i", start[:4])
    raise _no_nifti(f"its header says sizeof_hdr {size} where 348 or 540 must stand", path)


def _require_magic(magic: bytes, expected: bytes, path: Path) -> None:
    if magic == expected:
        return
    if magic.rstrip(b"\0") in (b"ni1", b"ni2"):
        raise _no_nifti(
            "it is the header of a .hdr and .img pair", path, "Convert the pair to one .nii.gz."
        )
    if not magic.strip(b"\0"):
        raise _no_nifti("it is an Analyze file, whose left and right nobody knows", path)
    raise _no_nifti(f"its header says magic {magic!r} where {expected!r} must stand", path)


def _foreign_kind(start: bytes) -> str | None:
    """What these bytes are, where they are plainly something else than an image's header."""
    if start[128:132] == b"DICM":
        return "a DICOM file"
    for first, kind in (
        (b"BZh", "a bzip2 file"),
        (b"\x89HDF", "an HDF5 or MINC file"),
        (b"NRRD", "an NRRD file"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\0\0\0\1", "a FreeSurfer MGH file"),
    ):
        if start.startswith(first):
            return kind
    text = start[:200].lstrip()
    if text[:1] == b"<":
        return "an HTML or XML page (a download that failed?)"
    if text and all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in text):
        return "a text file"
    return None


def _is_foreign(stored: bytes) -> bool:
    return not stored.startswith(_GZIP) and (
        _foreign_kind(stored) is not None or len(stored) < NIFTI1_BYTES
    )


def _no_nifti(what: str, path: Path, remedy: str = _EXPORT) -> ScanError:
    return ScanError(f"not a readable NIfTI file: {what}", where=path, remedy=remedy)
