"""The same lesion probability measured at other operating points, all in one go.

What would the study say at another threshold, or with another minimum lesion volume? The answer
needs no second inference: each threshold is labelled once, and its minimum volumes are counts of
the same labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.lesions.box import box_around
from lesion_dynamics.lesions.measurement import VOLUME_DECIMALS
from lesion_dynamics.lesions.operating_point import large_enough, lesion_voxels
from lesion_dynamics.settings.operating_point import OperatingPoint

THRESHOLD_STEPS = (-0.2, -0.1, 0.1, 0.2)
"""Around the threshold of the model version; what leaves 0.05 to 0.95 is left out."""
MINIMUM_LESION_VOLUMES_MM3 = (0.0, 3.0, 9.0, 14.0, 27.0)
"""At the threshold of the model version; 27 mm3 is a cube of 3 mm."""


def other_operating_points(point: OperatingPoint) -> tuple[OperatingPoint, ...]:
    """Those with one choice changed, thresholds first; ``point`` itself is not among them."""
    thresholds = [round(point.probability_threshold + step, 3) for step in THRESHOLD_STEPS]
    return (
        *(
            point.model_copy(update={"probability_threshold": threshold})
            for threshold in thresholds
            if 0.05 <= threshold <= 0.95
        ),
        *(
            point.model_copy(update={"minimum_lesion_volume_mm3": volume})
            for volume in MINIMUM_LESION_VOLUMES_MM3
            if volume != point.minimum_lesion_volume_mm3
        ),
    )


def measure_alternatives(probability: Image, point: OperatingPoint) -> list[dict[str, Any]]:
    """Operating point, lesion_volume_mm3, lesion_count and largest_lesion_volume_mm3 of each.

    Equal to measuring `operating_point.lesion_mask` at each of `other_operating_points`.

    Parameters
    ----------
    probability : as it is stored, so that a later measurement from the file agrees.
    """
    points = other_operating_points(point)
    lowest = min(one.probability_threshold for one in (point, *points))
    voxels = probability.voxels[box_around(probability.voxels >= lowest)]
    return list(_measured(voxels, points, probability.voxel_volume_mm3))


def _measured(
    voxels: np.ndarray[Any, Any], points: tuple[OperatingPoint, ...], voxel_volume_mm3: float
) -> Iterator[dict[str, Any]]:
    sizes: dict[float, np.ndarray[Any, np.dtype[np.int64]]] = {}
    for one in points:
        threshold = one.probability_threshold
        if threshold not in sizes:
            lesions = lesion_voxels(voxels >= threshold, connectivity=one.connectivity)
            sizes[threshold] = lesions.sizes
        own = sizes[threshold]
        if one.minimum_lesion_volume_mm3 > voxel_volume_mm3:
            own = own[
                large_enough(
                    own, voxel_volume_mm3=voxel_volume_mm3,
                    minimum_lesion_volume_mm3=one.minimum_lesion_volume_mm3,
                )
            ]  # fmt: skip
        yield {
            **one.model_dump(mode="json"),
            "lesion_volume_mm3": round(float(own.sum()) * voxel_volume_mm3, VOLUME_DECIMALS),
            "lesion_count": int(own.size),
            "largest_lesion_volume_mm3": round(
                float(own.max(initial=0)) * voxel_volume_mm3, VOLUME_DECIMALS
            ),
        }
