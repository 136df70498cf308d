"""The MNI152 maps that nilearn ships, and the ventricles in them.

Source: ICBM 2009a nonlinear symmetric, 1 mm (Fonov et al. 2011,
doi 10.1016/j.neuroimage.2010.07.033). It has no map of the ventricles: they are the fluid inside
boxes that were read off the template by eye.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
Ventricle = Literal["lateral", "third", "fourth"]
VENTRICLES: tuple[Ventricle, ...] = ("lateral", "third", "fourth")

ORIGIN_MM = np.array([-98.0, -134.0, -72.0])
TEMPLATE_SHAPE = (197, 233, 189)
"""ORIGIN_MM: world place of voxel 0; the axes run along R, A, S with 1 mm."""

_FULL_SCALE = 255.0
_CHOSEN_MM: dict[Ventricle, tuple[float, float, float, float, float]] = {
    # x half width, y from, y to, z from, z to
    "lateral": (36.0, -46.0, 32.0, -2.0, 28.0),
    "third": (5.0, -32.0, 6.0, -12.0, 8.0),
    "fourth": (9.0, -50.0, -34.0, -44.0, -20.0),
}
# Behind the thalami lies a cistern, no ventricle: x half width, y below, z below.
_CISTERN_MM = (10.0, -36.0, 12.0)
_INTERHEMISPHERIC_MM = (3.0, 6.0)  # fissure in front of the callosum (x half width, y above)


def read_template_map(name: Literal["t1", "gm", "wm"]) -> Map:
    """T1w, grey matter or white matter, 0 to 1, on the whole grid."""
    # nilearn and nibabel are slow to import and few commands need the template.
    import nibabel as nib
    import nilearn

    folder = Path(nilearn.__file__).parent / "datasets" / "data"
    image = nib.load(folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz")
    return np.asarray(image.dataobj, dtype=np.float32) / np.float32(_FULL_SCALE)


def places_mm(
    shape: tuple[int, ...], origin_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """World x, y and z of the voxels of a 1 mm grid, each to be broadcast to its shape."""
    x, y, z = (
        start + np.arange(size).reshape([-1 if axis == k else 1 for k in range(3)])
        for axis, (start, size) in enumerate(zip(origin_mm, shape, strict=True))
    )
    return x, y, z


def ventricle_region(
    shape: tuple[int, ...],
    origin_mm: NDArray[np.float64],
    *,
    ventricles: Sequence[Ventricle] = VENTRICLES,
) -> NDArray[np.bool_]:
    """Where fluid is that of these ventricles, on a 1 mm grid."""
    x, y, z = places_mm(shape, origin_mm)
    region = np.zeros(shape, dtype=bool)
    for name in ventricles:
        half, y_low, y_high, z_low, z_high = _CHOSEN_MM[name]
        region |= (abs(x) <= half) & (y >= y_low) & (y <= y_high) & (z >= z_low) & (z <= z_high)
    half, y_below, z_below = _CISTERN_MM
    above_fourth = z > _CHOSEN_MM["fourth"][4]
    region &= ~((abs(x) <= half) & (y < y_below) & (z < z_below) & above_fourth)
    half, y_above = _INTERHEMISPHERIC_MM
    region &= ~((abs(x) <= half) & (y > y_above))
    return region
