"""Reading NIfTI files with every check that a lesion volume depends on.

:func:`read_header` touches no voxel; :func:`read_image` reads them all. Both raise
`ScanError` with the file's name and the way out, and nothing else.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.geometry import Affine, largest_corner_distance_mm, voxel_sizes_mm
from lesion_dynamics.imaging.image import Image

MAXIMUM_VOXELS = 1_000_000_000
"""More voxels than any head scan has; a small file that claims more is damaged."""

_PLAUSIBLE_VOXEL_SIZE_MM = (0.05, 20.0)
_FORM_DISAGREEMENT_MM = 0.5
# nibabel raises each of these for some damaged header or voxel block.
_UNREADABLE = (
    EOFError, OSError, OverflowError, TypeError, ValueError, zlib.error, struct.error,
    ImageFileError, HeaderDataError,
)  # fmt: skip
_NUMBERS = "iuf"  # integers and floats; colours and complex numbers are no intensities
_MAXIMUM_DEFLATE_RATIO = 1100  # the format reaches 1032 (zlib.net, "Maximum Compression Factor")
_ALLOWED_PADDING_BYTES = 4096  # some writers fill the last block of a file


@dataclass(frozen=True, slots=True)
class Header:
    """What a NIfTI header says, without its voxels.

    `remarks` are doubts that do not stop anything (sform against qform, shear).
    """

    path: Path
    shape: tuple[int, int, int]
    affine: Affine
    remarks: tuple[str, ...]


def read_header(path: Path) -> Header:
    """Read and check the header of a 3D NIfTI file.

    Raises
    ------
    ScanError : missing, unreadable, not 3D, or with an impossible geometry.
    """
    _, header = _open(path)
    return header


def read_image(path: Path) -> Image:
    """Read the intensities of a 3D NIfTI file as float32.

    Raises
    ------
    ScanError : as :func:`read_header`; also a truncated file, NaN or infinite voxels, or
        an image without any contrast (all voxels equal).
    """
    voxels, affine = _read_voxels(path)
    if not np.isfinite(voxels).all():
        raise ScanError(
            f"the image has {int((~np.isfinite(voxels)).sum())} NaN or infinite voxels",
            where=path,
            remedy="Export the scan again, or leave this session out.",
        )
    if voxels.min() == voxels.max():
        raise ScanError(
            f"every voxel is {voxels.flat[0]:g}: the image is empty",
            where=path,
            remedy="Export the scan again, or leave this session out.",
        )
    return Image(voxels=voxels, affine=affine)


def read_mask(path: Path) -> Image:
    """Read a mask as uint8 of 0 and 1. An empty mask is valid: a lesion-free scan.

    Raises
    ------
    ScanError : as :func:`read_header`, or more than one value besides 0, or NaN. A
        probability map is no mask, whatever its range: no threshold is guessed.
    """
    voxels, affine = _read_voxels(path)
    positive = voxels != 0  # NaN counts as positive here, and is refused with the rest
    values = voxels[positive]
    of_a_mask = np.isfinite(values[:1]) & (values[:1] > 0)
    if not (of_a_mask.all() and (values == values[:1]).all()):
        raise ScanError(
            "a mask must hold 0 and one positive value, nothing else",
            where=path,
            remedy="Write one binary mask for lesions; probabilities belong into a probseg file.",
        )
    return Image(voxels=positive.astype(np.uint8), affine=affine)


def read_labels(path: Path) -> Image:
    """Read a label map as int32: whole numbers, 0 = background, each value one structure.

    Raises
    ------
    ScanError : as :func:`read_header`, or values that are negative, not whole, or not finite.
    """
    voxels, affine = _read_voxels(path)
    whole = np.isfinite(voxels) & (voxels >= 0) & (voxels == np.rint(voxels))
    if not whole.all():
        raise ScanError(
            f"a label map holds whole numbers; {voxels[~whole].flat[0]:g} is none",
            where=path,
            remedy="If this is a probability map, give the threshold from which it is lesion.",
        )
    return Image(voxels=voxels.astype(np.int32), affine=affine)


def read_probability(path: Path) -> Image:
    """Read a lesion probability map as float32 between 0 and 1.

    Raises
    ------
    ScanError : as :func:`read_header`, or values outside [0, 1].
    """
    voxels, affine = _read_voxels(path)
    if not (np.isfinite(voxels).all() and voxels.min() >= 0 and voxels.max() <= 1 + 1e-6):
        raise ScanError(
            "a probability map must hold values between 0 and 1",
            where=path,
            remedy="Run infer.py again for this scan.",
        )
    return Image(voxels=voxels, affine=affine)


def _read_voxels(path: Path) -> tuple[NDArray[np.float32], Affine]:
    image, header = _open(path)
    try:
        # Values beyond float32 become infinite; read_image refuses and counts those.
        with np.errstate(over="ignore"):
            if path.suffix == ".gz" and isinstance(image, nib.Nifti1Image):
                voxels = _intact_gzip_voxels(path, type(image), header)
            else:
                voxels = np.asarray(image.dataobj, dtype=np.float32).reshape(header.shape)
    except (*_UNREADABLE, MemoryError) as error:
        raise ScanError(
            "the file ends before its image does (truncated or damaged)",
            where=path,
            remedy="Copy or export the scan again, or leave this session out.",
        ) from error
    return voxels, header.affine


def _intact_gzip_voxels(path: Path, kind: Any, header: Header) -> NDArray[np.float32]:
    """Voxels of a ``.nii.gz``, read to the very end of the file.

    gzip keeps its checksum behind the last byte; who stops at the last voxel never sees that
    the file is damaged.
    """
    with gzip.open(path) as stream:
        voxels = np.asarray(kind.from_stream(stream).dataobj, dtype=np.float32)
        behind = len(stream.read(_ALLOWED_PADDING_BYTES + 1))
    if behind > _ALLOWED_PADDING_BYTES:
        raise ScanError(
            "the file holds more voxels than its header claims",
            where=path,
            remedy="The header is damaged: export the scan again.",
        )
    return voxels.reshape(header.shape)


def _open(path: Path) -> tuple[Any, Header]:
    if not path.is_file():
        raise ScanError(
            "no such file", where=path, remedy="Restore the file, or leave this session out."
        )
    try:
        image: Any = nib.load(path)
        kind = np.dtype(image.get_data_dtype()).kind
        shape = tuple(int(size) for size in image.shape)
        affine = np.array(image.affine, dtype=np.float64)
    except _UNREADABLE as error:
        raise ScanError(
            "not a readable NIfTI file (truncated, damaged, or another format)",
            where=path,
            remedy="Copy or export the scan again as .nii or .nii.gz.",
        ) from error
    if kind not in _NUMBERS:
        raise ScanError(
            "the voxels are colours or complex numbers, not intensities",
            where=path,
            remedy="Export the magnitude image as integers or floats.",
        )
    shape3 = _require_three_dimensions(shape, path)
    _require_enough_bytes(image, shape3, path)
    _require_possible_geometry(affine, path)
    return image, Header(path, shape3, affine, _remarks(image, shape3, affine))


def _require_three_dimensions(shape: tuple[int, ...], path: Path) -> tuple[int, int, int]:
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 2:
        described = " x ".join(str(size) for size in shape)
        raise ScanError(
            f"the image is {described}: not one 3D image",
            where=path,
            remedy="Give one 3D image per sequence; split a 4D series first (with fslsplit).",
        )
    if int(np.prod(shape, dtype=np.int64)) > MAXIMUM_VOXELS:
        raise ScanError(
            f"the header claims {' x '.join(map(str, shape))} voxels: no head scan is that large",
            where=path,
            remedy="The header is damaged: export the scan again.",
        )
    return (shape[0], shape[1], shape[2])


def _require_enough_bytes(image: Any, shape: tuple[int, int, int], path: Path) -> None:
    """Refuse, before any voxel is read, a file far too small for what its header claims."""
    claimed = int(np.prod(shape, dtype=np.int64)) * int(np.dtype(image.get_data_dtype()).itemsize)
    densest = 1 if path.suffix == ".nii" else _MAXIMUM_DEFLATE_RATIO
    if path.suffix in (".nii", ".gz") and path.stat().st_size * densest < claimed:
        raise ScanError(
            f"the file is too small for the {' x '.join(map(str, shape))} voxels of its header"
            " (truncated or damaged)",
            where=path,
            remedy="Copy or export the scan again, or leave this session out.",
        )


def _require_possible_geometry(affine: Affine, path: Path) -> None:
    remedy = "Repair the header, or export the scan again."
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise ScanError("the affine is not finite or not invertible", where=path, remedy=remedy)
    low, high = _PLAUSIBLE_VOXEL_SIZE_MM
    sizes = voxel_sizes_mm(affine)
    if min(sizes) < low or max(sizes) > high:
        described = " x ".join(f"{size:g}" for size in sizes)
        raise ScanError(
            f"voxels of {described} mm are not those of a head scan (units other than mm?)",
            where=path,
            remedy=remedy,
        )


def _remarks(image: Any, shape: tuple[int, int, int], affine: Affine) -> tuple[str, ...]:
    found = list(_remarks_on_forms(image.header, shape))
    directions = affine[:3, :3] / np.array(voxel_sizes_mm(affine))
    if np.abs(directions.T @ directions - np.eye(3)).max() > 1e-3:
        found.append("the voxel axes are not perpendicular")
    return tuple(found)


def _remarks_on_forms(header: Any, shape: tuple[int, int, int]) -> Iterator[str]:
    if not isinstance(header, nib.Nifti1Header):
        return
    sform_code, qform_code = int(header["sform_code"]), int(header["qform_code"])
    if not sform_code and not qform_code:
        yield "the header has no orientation: left and right are a guess"
    if sform_code and qform_code:
        try:
            distance = largest_corner_distance_mm(shape, header.get_sform(), header.get_qform())
        except (HeaderDataError, ValueError):
            yield "the qform is damaged; sform is used"
            return
        if distance > _FORM_DISAGREEMENT_MM:
            yield f"sform and qform disagree by up to {distance:.1f} mm; sform is used"
