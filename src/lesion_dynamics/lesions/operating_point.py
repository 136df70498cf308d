"""From lesion probability to lesion mask; the one home of connectivity and minimum volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cc3d
import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.lesions.box import box_around
from lesion_dynamics.settings.operating_point import Connectivity, OperatingPoint

_RELATIVE_VOLUME_TOLERANCE = 1e-6
"""A lesion of exactly the minimum volume stays, though the voxel volume comes from a
determinant and is off in its last digits."""


@dataclass(frozen=True, slots=True)
class LesionVoxels:
    """The lesions of a mask by their voxels alone: no count goes over the whole image again.

    box : outside of it there is no lesion. shape : of the box.
    places : (n,) of the lesion voxels in the box, counted in ``order``, that of the mask in
        memory. labels : (n,), 1 to count.
    """

    box: tuple[slice, slice, slice]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    places: NDArray[np.intp]
    labels: NDArray[np.int32]
    count: int

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Voxels of each lesion, (count,)."""
        return np.bincount(self.labels, minlength=self.count + 1)[1:]


def lesion_voxels(mask: NDArray[Any], *, connectivity: Connectivity) -> LesionVoxels:
    """The lesions of a mask, (x, y, z); the same as :func:`label_lesions` finds."""
    positive = np.asarray(mask) != 0
    box = box_around(positive)
    labels, count = label_lesions(positive[box].copy(order="K"), connectivity=connectivity)
    order: Literal["C", "F"] = "C" if labels.flags.c_contiguous else "F"
    flat = labels.ravel(order=order)
    places = np.flatnonzero(flat)
    return LesionVoxels(box, labels.shape, order, places, flat[places], count)


def label_lesions(
    mask: NDArray[Any], *, connectivity: Connectivity
) -> tuple[NDArray[np.int32], int]:
    """Give every lesion of a mask its number.

    Parameters
    ----------
    mask : (x, y, z), nonzero = lesion.

    Returns
    -------
    (x, y, z) int32 labels, 0 = background, 1..count = lesions; and the count.
    """
    # As uint8: for bool the library takes another path, which at connectivity 26 fails with
    # "maximum length exception" on some small dense boxes (1 x 1 x 3 voxels, two of them lesion).
    positive = (np.asarray(mask) != 0).view(np.uint8)
    if not positive.any():
        return np.zeros(positive.shape, dtype=np.int32), 0
    labels, count = cc3d.connected_components(
        positive, connectivity=connectivity, return_N=True, out_dtype=np.uint32
    )
    return labels.view(np.int32), int(count)


def large_enough(
    lesion_voxels: NDArray[np.int64], *, voxel_volume_mm3: float, minimum_lesion_volume_mm3: float
) -> NDArray[np.bool_]:
    """Which lesions reach the minimum volume, from their numbers of voxels."""
    limit = minimum_lesion_volume_mm3 * (1.0 - _RELATIVE_VOLUME_TOLERANCE)
    kept: NDArray[np.bool_] = lesion_voxels * voxel_volume_mm3 >= limit
    return kept


def without_small_lesions(
    mask: NDArray[Any],
    *,
    voxel_volume_mm3: float,
    minimum_lesion_volume_mm3: float,
    connectivity: Connectivity,
) -> NDArray[np.uint8]:
    """Drop a mask's lesions below the minimum volume; uint8 of 0 and 1."""
    if minimum_lesion_volume_mm3 <= voxel_volume_mm3:
        whole: NDArray[np.uint8] = (np.asarray(mask) != 0).astype(np.uint8)
        return whole
    lesions = lesion_voxels(mask, connectivity=connectivity)
    kept = large_enough(
        lesions.sizes,
        voxel_volume_mm3=voxel_volume_mm3,
        minimum_lesion_volume_mm3=minimum_lesion_volume_mm3,
    )
    inside = np.zeros(lesions.shape, dtype=np.uint8, order=lesions.order)
    inside.ravel(order=lesions.order)[lesions.places[kept[lesions.labels - 1]]] = 1
    result = np.zeros_like(mask, dtype=np.uint8)
    result[lesions.box] = inside
    return result


def lesion_mask(
    probability: NDArray[Any], *, voxel_volume_mm3: float, operating_point: OperatingPoint
) -> NDArray[np.uint8]:
    """Apply an operating point.

    Parameters
    ----------
    probability : (x, y, z), 0 to 1.

    Returns
    -------
    (x, y, z) uint8 of 0 and 1.
    """
    return without_small_lesions(
        np.asarray(probability) >= operating_point.probability_threshold,
        voxel_volume_mm3=voxel_volume_mm3,
        minimum_lesion_volume_mm3=operating_point.minimum_lesion_volume_mm3,
        connectivity=operating_point.connectivity,
    )
