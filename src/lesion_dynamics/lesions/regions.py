"""Which region each lesion belongs to, and volumes and counts by region. Arrays only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.lesions.box import box_around
from lesion_dynamics.lesions.operating_point import label_lesions
from lesion_dynamics.settings.operating_point import Connectivity

REGIONS = ("infratentorial", "periventricular", "juxtacortical", "deep_white_matter")
"""In the order in which they claim a lesion."""

_MOST = 0.5


@dataclass(frozen=True, slots=True)
class RegionShare:
    """share : of the voxels of all lesions, 0 to 1; 0.0 without lesions. lesion_count : of it."""

    share: float
    lesion_count: int


def shares_of_regions(
    mask: NDArray[Any],
    *,
    infratentorial: NDArray[np.bool_],
    near_ventricle: NDArray[np.bool_],
    near_cortex: NDArray[np.bool_],
    connectivity: Connectivity,
) -> dict[str, RegionShare]:
    """Give every lesion, whole, to the first region of `REGIONS` that it fits.

    Infratentorial: more than half of it lies there. Periventricular, juxtacortical: a voxel of it
    lies near the lateral ventricles, near the cortex: the diagnostic criteria ask for contact of
    the lesion, not for its place. Deep white matter: every other one.

    Parameters
    ----------
    mask : (x, y, z), nonzero = lesion; the maps on the same grid.
    """
    box = box_around(mask != 0)
    labels, count = label_lesions(mask[box], connectivity=connectivity)
    places = np.flatnonzero(labels)
    own = labels.ravel()[places]
    voxels = np.bincount(own, minlength=count + 1)[1:]

    def inside(where: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(own[where[box].ravel()[places]], minlength=count + 1)[1:]

    region = np.full(count, 3)
    region[inside(near_cortex) > 0] = 2
    region[inside(near_ventricle) > 0] = 1
    region[inside(infratentorial) > _MOST * voxels] = 0
    total = max(int(voxels.sum()), 1)
    return {
        name: RegionShare(
            share=float(voxels[region == number].sum()) / total,
            lesion_count=int((region == number).sum()),
        )
        for number, name in enumerate(REGIONS)
    }
