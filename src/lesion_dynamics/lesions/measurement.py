"""Volume and number of lesions of a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.lesions.operating_point import lesion_voxels
from lesion_dynamics.settings.operating_point import Connectivity

VOLUME_DECIMALS = 3
"""Volumes are given to 0.001 mm3: below that is floating-point noise, which would turn a
change of zero into a rank."""


@dataclass(frozen=True, slots=True)
class LesionMeasurement:
    """Lesions of one scan. A lesion-free scan has 0.0, 0 and 0.0."""

    lesion_volume_mm3: float
    lesion_count: int
    largest_lesion_volume_mm3: float


def measure(
    mask: Image,
    *,
    connectivity: Connectivity,
    volume_scale: NDArray[np.float64] | float = 1.0,
) -> LesionMeasurement:
    """Measure a mask as it is: no lesion is dropped here.

    Parameters
    ----------
    mask : nonzero = lesion; a voxel counts ``|det(affine[:3, :3])|`` mm3.
    volume_scale : true volume over that, a number or one a voxel, where a distortion of the
        scanner is corrected.
    """
    lesions = lesion_voxels(mask.voxels, connectivity=connectivity)
    if lesions.count == 0:
        return LesionMeasurement(0.0, 0, 0.0)
    voxels: NDArray[Any] = lesions.sizes
    if isinstance(volume_scale, np.ndarray):
        weights = volume_scale[lesions.box].ravel(order=lesions.order)[lesions.places]
        voxels = np.bincount(lesions.labels, weights=weights, minlength=lesions.count + 1)[1:]
        volume_scale = 1.0
    voxel_mm3 = mask.voxel_volume_mm3 * volume_scale
    return LesionMeasurement(
        lesion_volume_mm3=round(float(voxels.sum()) * voxel_mm3, VOLUME_DECIMALS),
        lesion_count=lesions.count,
        largest_lesion_volume_mm3=round(float(voxels.max()) * voxel_mm3, VOLUME_DECIMALS),
    )
