"""The voxels of a NIfTI file, slab by slab: the memory taken is that of the answer.

The stored numbers are scaled by nibabel's own proxy, slab for slab, so the result is that of
``np.asarray(nib.load(path).dataobj, dtype=np.float32)`` to the last bit.
"""

from __future__ import annotations

import gzip
import math
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np
from isal import igzip, isal_zlib
from nibabel.arrayproxy import ArrayProxy
from numpy.typing import NDArray

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.nifti_header import NiftiHeader

_SLAB_BYTES = 32 * 2**20
_ALLOWED_PADDING_BYTES = 4096  # some writers fill the last block of a file
_SUSPICIOUS_RATIO = 50  # scans compress by 2 to 10, masks and empty images by up to 1000
_SUSPICIOUS_BYTES = 64 * 2**20
_DAMAGED: type[Exception] = isal_zlib.error  # type: ignore[assignment]
_AGAIN = "Copy or export the scan again, or leave this session out."


def read_float32(
    path: Path, header: NiftiHeader, shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """All voxels as float32, (x, y, z); ``shape`` is the header's without trailing ones.

    The file is read to its very end: gzip keeps its checksum behind the last byte, and who
    stops at the last voxel never sees that a file is damaged.

    Raises
    ------
    ScanError : the file is truncated, damaged, holds more than its header claims, or needs
        more memory than there is.
    """
    try:
        if header.compressed and _claims_much(path, header):
            _require_claimed_bytes(path, header)
        with closing(_opened(path, header)) as stream:
            # Values beyond float32 become infinite; who asks for intensities refuses those.
            with np.errstate(over="ignore"):
                voxels = _slabs(stream, header, shape)
            behind = len(stream.read(_ALLOWED_PADDING_BYTES + 1))
    except (gzip.BadGzipFile, _DAMAGED) as error:
        raise ScanError(
            f"the compressed file is damaged ({error})", where=path, remedy=_AGAIN
        ) from error
    except (EOFError, OSError, ValueError) as error:
        raise ScanError(
            "the file ends before its image does (truncated or damaged)",
            where=path,
            remedy=_AGAIN,
        ) from error
    except MemoryError as error:
        needed = math.prod(shape) * 4 / 2**30
        raise ScanError(
            f"the image needs {needed:.1f} GiB of memory, more than is free",
            where=path,
            remedy="Use fewer processes or a larger machine, or leave this session out.",
        ) from error
    if behind > _ALLOWED_PADDING_BYTES:
        raise ScanError(
            "the file holds more voxels than its header claims",
            where=path,
            remedy="The header is damaged: export the scan again.",
        )
    return voxels


def _opened(path: Path, header: NiftiHeader) -> IO[bytes]:
    if header.compressed:
        return _decompressed(path)
    return path.open("rb")


def _decompressed(path: Path) -> IO[bytes]:
    """ISA-L's gzip: the same bytes and refusals as gzip's, four times as fast."""
    stream: IO[bytes] = igzip.open(path)  # type: ignore[no-untyped-call]
    return stream


def _slabs(
    stream: IO[bytes], header: NiftiHeader, shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    slice_bytes = shape[0] * shape[1] * header.dtype.itemsize
    slices = max(1, _SLAB_BYTES // slice_bytes)
    voxels = np.empty(shape, dtype=np.float32, order="F")
    for first in range(0, shape[2], slices):
        slab_shape = (*shape[:2], min(slices, shape[2] - first))
        start = header.offset + first * slice_bytes
        described: Any = (slab_shape, header.dtype, start, header.slope, header.inter)
        slab = ArrayProxy(stream, described, mmap=False)
        voxels[..., first : first + slices] = np.asarray(slab, dtype=np.float32)
    return voxels


def _claims_much(path: Path, header: NiftiHeader) -> bool:
    claimed = _claimed_bytes(header)
    return claimed > max(_SUSPICIOUS_BYTES, _SUSPICIOUS_RATIO * path.stat().st_size)


def _require_claimed_bytes(path: Path, header: NiftiHeader) -> None:
    """Count what a file holds that claims far more than its size makes likely.

    Decompressing without keeping anything costs time; believing the header would cost memory.
    """
    left = header.offset + _claimed_bytes(header)
    with _decompressed(path) as stream:
        while left > 0:
            found = len(stream.read(min(left, 2**20)))
            if not found:
                raise EOFError
            left -= found


def _claimed_bytes(header: NiftiHeader) -> int:
    return math.prod(header.shape) * header.dtype.itemsize
