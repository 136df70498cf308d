"""A NIfTI header with everything in it checked that the voxels or their places depend on.

Fields as in nifti1.h and nifti2.h (nifti.nimh.nih.gov). nibabel interprets them; it mends
some faults without a word (a voxel size of 0 becomes 1 mm), and those are refused here first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.file_start import HeaderBytes, read_header_bytes
from lesion_dynamics.imaging.geometry import Affine, largest_corner_distance_mm

_FORM_DISAGREEMENT_MM = 0.5
_NUMBERS = "iuf"  # integers and floats; colours and complex numbers are no intensities
_LARGEST_HEADER_BYTES = 64 * 2**20
"""Header and extensions together; the voxels begin behind them."""

_OTHER_UNITS = {1: "metres", 3: "microns"}  # NIFTI_UNITS_METER, NIFTI_UNITS_MICRON
_REPAIR = "Repair the header, or export the scan again."

# nibabel says what it mends on a logger of its own, which writes to stderr.
_SILENT = logging.getLogger(f"{__name__}.nibabel")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


@dataclass(frozen=True, slots=True)
class NiftiHeader:
    """What a NIfTI header says about one 3D image.

    shape : as stored, with trailing dimensions of one. dtype : of the stored numbers.
    offset : bytes before the first voxel, in the decompressed file.
    slope, inter : stored numbers to intensities. compressed : the file is gzip.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    inter: float
    affine: Affine
    compressed: bool
    form_remarks: tuple[str, ...]


def read_nifti_header(path: Path) -> NiftiHeader:
    """Read and check the header of a ``.nii`` or ``.nii.gz`` file.

    Raises
    ------
    ScanError : no NIfTI file, or a header that is damaged or not of intensities in mm.
    """
    given = read_header_bytes(path)
    header = _parsed(given)
    shape = _shape(header, path)
    dtype = _dtype(header, path)
    _require_millimetres(header, path)
    slope, inter = _scaling(header, path)
    offset = _offset(header, given, path)
    qfac = float(header["pixdim"][0])
    affine = _affine(header, path)
    return NiftiHeader(
        shape=shape,
        dtype=dtype,
        offset=offset,
        slope=slope,
        inter=inter,
        affine=affine,
        compressed=given.compressed,
        form_remarks=tuple(_remarks_on_forms(header, shape, qfac)),
    )


def _parsed(given: HeaderBytes) -> Any:
    kind = nib.Nifti1Header if given.version == 1 else nib.Nifti2Header
    return kind(given.content, endianness=given.endianness, check=False)


def _shape(header: Any, path: Path) -> tuple[int, ...]:
    dim = [int(size) for size in header["dim"]]
    if not 1 <= dim[0] <= 7:
        raise ScanError(
            f"the header says {dim[0]} dimensions (dim[0]) where 1 to 7 are possible",
            where=path,
            remedy=_REPAIR,
        )
    shape = tuple(dim[1 : dim[0] + 1])
    if min(shape) < 1:
        described = " x ".join(str(size) for size in shape)
        raise ScanError(f"the header says {described} voxels", where=path, remedy=_REPAIR)
    return shape


def _dtype(header: Any, path: Path) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(header.get_data_dtype())
    except (HeaderDataError, KeyError) as error:
        raise _unknown_type(header, path) from error
    if dtype.itemsize == 0:
        raise _unknown_type(header, path)
    if dtype.kind not in _NUMBERS:
        raise ScanError(
            "the voxels are colours or complex numbers, not intensities",
            where=path,
            remedy="Export the magnitude image as integers or floats.",
        )
    return dtype


def _unknown_type(header: Any, path: Path) -> ScanError:
    return ScanError(
        f"the header says datatype {int(header['datatype'])}, which this program cannot read",
        where=path,
        remedy="Export the scan again as integers or floats.",
    )


def _require_millimetres(header: Any, path: Path) -> None:
    units = _OTHER_UNITS.get(int(header["xyzt_units"]) & 7)
    if units is not None:
        raise ScanError(
            f"the header gives its lengths in {units} (xyzt_units), not in mm",
            where=path,
            remedy="Export the scan in mm, or correct xyzt_units if the lengths are mm.",
        )


def _scaling(header: Any, path: Path) -> tuple[float, float]:
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or np.isnan(slope):  # the format's word for "not scaled", and nibabel's
        return 1.0, 0.0
    if not np.isfinite(slope + inter):
        raise ScanError(
            f"the header scales intensities by {slope:g} and adds {inter:g}",
            where=path,
            remedy=_REPAIR,
        )
    return slope, inter


def _offset(header: Any, given: HeaderBytes, path: Path) -> int:
    offset = float(header["vox_offset"])
    # Behind the header stand four bytes that announce extensions.
    if not len(given.content) + 4 <= offset <= _LARGEST_HEADER_BYTES:
        raise ScanError(
            f"the header says that voxels begin at byte {offset:g} (vox_offset)",
            where=path,
            remedy=_REPAIR,
        )
    return int(offset)


def _affine(header: Any, path: Path) -> Affine:
    sizes = [float(size) for size in header["pixdim"][1:4]]
    if not header["sform_code"] and not (np.isfinite(sizes).all() and all(sizes)):
        described = " x ".join(f"{size:g}" for size in sizes)
        raise ScanError(
            f"the header says voxels of {described} mm (pixdim)", where=path, remedy=_REPAIR
        )
    try:
        # Puts right what does no harm: a qfac that is neither 1 nor -1, negative sizes.
        header.check_fix(logger=_SILENT)
        return np.array(header.get_best_affine(), dtype=np.float64)
    except (HeaderDataError, ValueError, ArithmeticError) as error:
        raise ScanError(
            f"the header's orientation is damaged ({error})", where=path, remedy=_REPAIR
        ) from error


def _remarks_on_forms(header: Any, shape: tuple[int, ...], qfac: float) -> Iterator[str]:
    """qfac: as it stands in the file; 0 is an old way to write 1."""
    sform_code, qform_code = int(header["sform_code"]), int(header["qform_code"])
    if not sform_code and not qform_code:
        yield "the header has no orientation: left and right are a guess"
    if qform_code and not sform_code and qfac not in (-1, 0, 1):
        yield f"the qform's handedness (qfac) is {qfac:g}, taken as 1: left and right in doubt"
    if sform_code and qform_code:
        try:
            x, y, z = (*shape, 1, 1)[:3]
            with np.errstate(over="raise", invalid="raise"):
                sform, qform = header.get_sform(), header.get_qform()
                distance = largest_corner_distance_mm((x, y, z), sform, qform)
        except (HeaderDataError, ValueError, FloatingPointError):
            yield "the qform is damaged; sform is used"
            return
        if distance > _FORM_DISAGREEMENT_MM:
            yield f"sform and qform disagree by up to {distance:.1f} mm; sform is used"
