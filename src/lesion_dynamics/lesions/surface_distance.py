"""Distance between the surfaces of two masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from lesion_dynamics.imaging.geometry import Affine

_PERCENTILE = 95.0


def hd95_mm(reference: NDArray[Any], predicted: NDArray[Any], *, affine: Affine) -> float | None:
    """95th percentile Hausdorff distance in mm; lower is better.

    The larger of the two directed 95th percentiles (Huttenlocher et al., IEEE TPAMI
    1993;15:850, with the maximum replaced by the percentile) between the centres of surface
    voxels. A surface voxel has a face neighbour outside the mask; outside the image counts as
    outside the mask. Distances are taken in world coordinates, so anisotropic, oblique and
    sheared grids are exact.

    Empty cases: None (undefined) when the reference, the prediction or both are empty. A
    wholly missed lesion has no distance: read this beside the lesion sensitivity.

    Parameters
    ----------
    reference, predicted : (x, y, z) on one grid, nonzero = lesion.
    affine : (4, 4) voxel indices to mm.
    """
    first = _surface_points_mm(reference, affine)
    second = _surface_points_mm(predicted, affine)
    if len(first) == 0 or len(second) == 0:
        return None
    there = np.percentile(cKDTree(second).query(first)[0], _PERCENTILE)
    back = np.percentile(cKDTree(first).query(second)[0], _PERCENTILE)
    return float(max(there, back))


def _surface_points_mm(mask: NDArray[Any], affine: Affine) -> NDArray[np.float64]:
    positive = np.asarray(mask) != 0
    surface = positive & ~binary_erosion(positive)
    points: NDArray[np.float64] = np.argwhere(surface) @ np.asarray(affine)[:3, :3].T
    return points
