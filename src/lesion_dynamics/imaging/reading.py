"""Reading NIfTI files with every check that a lesion volume depends on.

:func:`read_header` touches no voxel; :func:`read_image` reads them all. Both raise
`ScanError` with the file's name and the way out, and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.geometry import Affine, voxel_sizes_mm
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.nifti_header import NiftiHeader, read_nifti_header
from lesion_dynamics.imaging.voxels import read_float32

MAXIMUM_VOXELS = 2**29
"""More voxels than any head scan has (0.25 mm over a whole head are 0.5 billion): 2 GiB as
float32. A file that claims more is damaged."""

_PLAUSIBLE_VOXEL_SIZE_MM = (0.05, 20.0)
_MAXIMUM_DEFLATE_RATIO = 1100  # the format reaches 1032 (zlib.net, "Maximum Compression Factor")


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
    lowest, highest = voxels.min(), voxels.max()  # NaN if there is one
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise ScanError(
            f"the image has {int((~np.isfinite(voxels)).sum())} NaN or infinite voxels",
            where=path,
            remedy="Export the scan again, or leave this session out.",
        )
    if lowest == highest:
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
    nifti, header = _open(path)
    return read_float32(path, nifti, header.shape), header.affine


def _open(path: Path) -> tuple[NiftiHeader, Header]:
    nifti = read_nifti_header(path)
    shape = _require_three_dimensions(nifti.shape, path)
    _require_enough_bytes(nifti, shape, path)
    _require_possible_geometry(nifti.affine, path)
    return nifti, Header(path, shape, nifti.affine, _remarks(nifti))


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
    if math.prod(shape) > MAXIMUM_VOXELS:
        raise ScanError(
            f"the header claims {' x '.join(map(str, shape))} voxels: no head scan is that large",
            where=path,
            remedy="The header is damaged: export the scan again.",
        )
    return (shape[0], shape[1], shape[2])


def _require_enough_bytes(nifti: NiftiHeader, shape: tuple[int, int, int], path: Path) -> None:
    """Refuse, before any voxel is read, a file far too small for what its header claims."""
    claimed = math.prod(shape) * nifti.dtype.itemsize
    densest = _MAXIMUM_DEFLATE_RATIO if nifti.compressed else 1
    if path.stat().st_size * densest < claimed:
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


def _remarks(nifti: NiftiHeader) -> tuple[str, ...]:
    directions = nifti.affine[:3, :3] / np.array(voxel_sizes_mm(nifti.affine))
    if np.abs(directions.T @ directions - np.eye(3)).max() > 1e-3:
        return (*nifti.form_remarks, "the voxel axes are not perpendicular")
    return nifti.form_remarks
