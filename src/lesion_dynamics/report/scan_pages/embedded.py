"""Volumes and pictures as text that a page can hold."""

from __future__ import annotations

import base64
import gzip
import io
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.report.quality_panels import best_index, cut
from lesion_dynamics.report.style import ORANGE

_LEVEL = 6  # the ninth takes three times as long and gains one per cent
_ENLARGED = 2
_OUTLINE = 2  # pixels: WebP keeps colour at half the resolution
_LONGEST_EDGE = 260
_QUALITY = 62


def nifti_text(voxels: NDArray[np.uint8], affine: Affine, *, slope: float = 1.0) -> str:
    """Base64 of a compressed NIfTI-1 file with a header of our own: no text of the scan's goes in.

    slope : value of one step of the voxels.
    """
    image = nib.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(slope, 0)
    packed = gzip.compress(image.to_bytes(), compresslevel=_LEVEL, mtime=0)
    return base64.b64encode(packed).decode("ascii")


def text_of_bytes(content: bytes) -> str:
    """Base64."""
    return base64.b64encode(content).decode("ascii")


def thumbnail(
    grey: NDArray[np.uint8], mask: NDArray[np.uint8] | None, *, height_index: int
) -> bytes:
    """The axial plane at an index as WebP, lesions outlined; the participant's right on the left.

    grey, mask : (x, y, z) along R, A, S.
    """
    from PIL import Image as Picture

    rows = cut(grey, "axial", height_index)
    large = (rows.shape[1] * _ENLARGED, rows.shape[0] * _ENLARGED)
    picture = Picture.fromarray(np.ascontiguousarray(rows)).resize(
        large, Picture.Resampling.BICUBIC
    )
    shown: NDArray[Any] = np.stack([np.asarray(picture)] * 3, axis=-1)
    if mask is not None:
        shown[_outline(cut(mask, "axial", height_index) > 0)] = _rgb(ORANGE)
    drawn = Picture.fromarray(shown)
    if max(drawn.size) > _LONGEST_EDGE:
        drawn.thumbnail((_LONGEST_EDGE, _LONGEST_EDGE), Picture.Resampling.LANCZOS)
    buffer = io.BytesIO()
    drawn.save(buffer, format="WEBP", quality=_QUALITY, method=4, use_sharp_yuv=True)
    return buffer.getvalue()


def telling_height(masks: list[NDArray[np.uint8]], grey: NDArray[np.uint8]) -> int:
    """The axial plane with the most lesion over all sessions, else the most head."""
    together = np.zeros(grey.shape, dtype=np.bool_)
    for mask in masks:
        together |= mask > 0
    return best_index(together, grey > 0, "axial")


def _outline(lesions: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of the enlarged picture just outside the lesions, which stay visible."""
    fine = np.kron(lesions, np.ones((_ENLARGED, _ENLARGED), dtype=np.bool_))
    grown = ndimage.binary_dilation(fine, iterations=_OUTLINE)
    return np.asarray(grown & ~fine, dtype=np.bool_)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
