"""Writing NIfTI files: whole or absent, same bytes for the same image, no free text.

The header is built anew, never copied from a scan: descriptions and extensions of clinical
files can hold names and dates.
"""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from lesion_dynamics import atomic_files
from lesion_dynamics.imaging.image import Image

_COMPRESSION_LEVEL = 1  # level 6 takes four times as long for 5% fewer bytes
_PROBABILITY_STEPS = 255.0
_PROBABILITY_SLOPE = float(np.float32(1.0 / _PROBABILITY_STEPS))  # NIfTI keeps it in float32
_SCANNER_SPACE = 1
_VECTORS = 1007  # NIFTI_INTENT_VECTOR


def write_mask(path: Path, mask: Image) -> None:
    """Write a mask as uint8 of 0 and 1 to a ``.nii.gz``."""
    _write(path, mask.voxels.astype(np.uint8), mask.affine, slope=1.0)


def write_labels(path: Path, labels: Image) -> None:
    """Write labels of 0 to 255 as uint8 to a ``.nii.gz``."""
    _write(path, labels.voxels.astype(np.uint8), labels.affine, slope=1.0)


def write_values(path: Path, values: Image) -> None:
    """Write values (frequencies, statistics) as float32 to a ``.nii.gz``."""
    _write(path, values.voxels.astype(np.float32), values.affine, slope=1.0)


def as_stored(probability: Image) -> Image:
    """The probabilities that reading the written file gives back.

    Masks are made from these, so that a mask made later from the file is the same mask.
    """
    steps = _steps(probability)
    steps *= np.float32(_PROBABILITY_SLOPE)
    return probability.with_voxels(steps)


def write_probability(path: Path, probability: Image) -> None:
    """Write probabilities as uint8 with slope 1/255 (steps of 0.004) to a ``.nii.gz``."""
    steps = _steps(probability)
    _write(path, steps.astype(np.uint8), probability.affine, slope=_PROBABILITY_SLOPE)


def write_side_by_side(mask_path: Path, mask: Image, path: Path, probability: Image) -> None:
    """:func:`write_mask` and :func:`write_probability` at once: zlib runs beside Python."""
    with ThreadPoolExecutor(1) as other:
        written = other.submit(write_probability, path, probability)
        write_mask(mask_path, mask)
        written.result()


def _steps(probability: Image) -> NDArray[np.float32]:
    """Probabilities as whole numbers of 0 to 255, in one new array."""
    steps: NDArray[np.float32] = np.clip(
        probability.voxels, np.float32(0), np.float32(1), dtype=np.float32
    )
    steps *= np.float32(_PROBABILITY_STEPS)
    np.rint(steps, out=steps)
    return steps


def write_intensities(path: Path, image: Image) -> None:
    """Write intensities, rounded to int16, to a ``.nii.gz``."""
    rounded = np.rint(np.clip(image.voxels, -32768, 32767)).astype(np.int16)
    _write(path, rounded, image.affine, slope=1.0)


def write_displacement(
    path: Path, displacement_mm: NDArray[np.float32], affine: NDArray[np.float64]
) -> None:
    """Write a displacement field (x, y, z, 3) in RAS+ mm as ITK keeps one: vectors in LPS."""
    lps = displacement_mm * np.array([-1.0, -1.0, 1.0])
    vectors = lps[:, :, :, None, :].astype(np.float32)
    _write(path, vectors, affine, slope=1.0, intent=_VECTORS)


def _write(
    path: Path,
    voxels: NDArray[Any],
    affine: NDArray[np.float64],
    *,
    slope: float,
    intent: int = 0,
) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(voxels.dtype)
    header.set_data_shape(voxels.shape)
    header.set_intent(intent)
    header.set_sform(affine, code=_SCANNER_SPACE)
    # qform cannot hold shear; where it can hold the affine both forms are the same.
    header.set_qform(affine, code=_SCANNER_SPACE, strip_shears=True)
    header.set_xyzt_units("mm", "sec")
    header.set_slope_inter(slope, 0.0)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    content = header.binaryblock + b"\0\0\0\0" + voxels.tobytes(order="F")
    with (
        atomic_files.replacing(path) as temporary,
        temporary.open("wb") as file,
        # No name and no time in the gzip header: the same image gives the same bytes.
        gzip.GzipFile("", "wb", _COMPRESSION_LEVEL, file, mtime=0) as compressed,
    ):
        compressed.write(content)
