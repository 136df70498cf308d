"""How much a lesion's volume differs between two scans of the same tissue.

With a repeatability record: the record gives the standard deviation of a whole scan's volume V,
sqrt(noise_mm3^2 + (noise_share x V)^2). Its variance is divided among the lesions in proportion
to their volume v, as if lesions erred independently: sd(v) = sd(V) sqrt(v / V). That is the wider
assumption; a common shift of all boundaries would leave noise_share x v to each. A change must
exceed ``noise_limit`` standard deviations of a difference, sqrt(2) sd(v): the smallest detectable
change (Bland and Altman, BMJ 1996;313:41, doi 10.1136/bmj.313.7048.41).

Without one: the volume of a shell around the lesion, its surface times ``boundary_mm``. The
surface is the number of free voxel faces times two thirds: seen from all directions alike, the
faces of a sphere have 3/2 of its area.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SPHERE_OF_FACES = 2.0 / 3.0


@dataclass(frozen=True, slots=True)
class VolumeNoise:
    """Standard deviation of a scan's lesion volume between repeated scans.

    noise_mm3, noise_share : see the module.
    """

    noise_mm3: float
    noise_share: float

    def of_lesions(self, volumes_mm3: Floats, total_mm3: float) -> Floats:
        """Standard deviation of each lesion's volume, mm3."""
        if total_mm3 <= 0:
            return np.zeros_like(volumes_mm3)
        scan = self.noise_mm3**2 + (self.noise_share * total_mm3) ** 2
        return np.asarray(np.sqrt(scan * volumes_mm3 / total_mm3), dtype=np.float64)


def noise_margin_mm3(
    volumes_mm3: Floats, *, total_mm3: float, noise: VolumeNoise, limit: float
) -> Floats:
    """Difference that noise alone exceeds only rarely (1.96: once in twenty)."""
    deviation = noise.of_lesions(volumes_mm3, total_mm3)
    return np.asarray(limit * np.sqrt(2.0) * deviation, dtype=np.float64)


def surfaces_mm2(
    labels: NDArray[np.int32],
    *,
    places: NDArray[np.int64],
    numbers: NDArray[np.int64],
    count: int,
    spacing_mm: tuple[float, float, float],
) -> Floats:
    """Surface of each lesion, or each family of lesions, 1..count.

    Parameters
    ----------
    labels : (x, y, z), with a border without lesions. A face between two lesions is free.
    places : flat indices of the voxels that hold a lesion. numbers : of each of these, 1..count.
    """
    flat = labels.ravel()
    volume = float(np.prod(spacing_mm))
    strides = (labels.shape[1] * labels.shape[2], labels.shape[2], 1)
    areas = np.zeros(len(places))
    own = flat[places]
    for stride, edge in zip(strides, spacing_mm, strict=True):
        for step in (-stride, stride):
            areas[flat[places + step] != own] += volume / edge
    summed = np.bincount(numbers, weights=areas, minlength=count + 1)
    return np.asarray(_SPHERE_OF_FACES * summed[1:], dtype=np.float64)
