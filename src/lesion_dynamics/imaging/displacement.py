"""Reading the displacement fields that inference writes."""

from __future__ import annotations

import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.geometry import Affine

_BROKEN = (OSError, ValueError, EOFError, zlib.error, ImageFileError)


def read_displacement(path: Path) -> tuple[NDArray[np.float32], Affine]:
    """Read a displacement field that `imaging.writing.write_displacement` wrote.

    Returns
    -------
    (x, y, z, 3) float32 in RAS+ mm, and (4, 4) voxel indices to world.

    Raises
    ------
    ScanError : it cannot be read, or is no field of vectors.
    """
    try:
        image = nib.load(path)
        vectors = np.asarray(image.dataobj, dtype=np.float32)
        if vectors.ndim != 5 or vectors.shape[3:] != (1, 3) or not np.isfinite(vectors).all():
            raise ValueError(f"no field of vectors but an array of {vectors.shape}")
    except _BROKEN as error:
        raise ScanError(
            f"this displacement field cannot be read ({error})",
            where=path,
            remedy="Run infer.py again with the same mni=...: it restores what is missing.",
        ) from None
    ras = vectors[:, :, :, 0] * np.array([-1.0, -1.0, 1.0], dtype=np.float32)
    return ras, np.asarray(image.affine, dtype=np.float64)
