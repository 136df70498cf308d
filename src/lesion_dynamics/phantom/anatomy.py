"""The template: tissue maps and distances in MNI space, 1 mm.

Source: ICBM 2009a nonlinear symmetric (Fonov et al., NeuroImage 2011), as nilearn ships it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Map = NDArray[np.float32]

_ORIGIN_MM = np.array([-98.0, -134.0, -72.0])
_CROP = (slice(20, 177), slice(21, 213), slice(0, 160))  # the brain with a margin of 5 mm
_FULL_SCALE = 255.0
_VENTRICLE_CSF = 0.5
_DISTANCE_STEP = 2  # distances are smooth: every second voxel is enough
_CHOSEN_MM = (  # x half width, y from, y to, z from, z to
    (36.0, -46.0, 32.0, -2.0, 28.0),  # lateral ventricles
    (5.0, -32.0, 6.0, -12.0, 8.0),  # third ventricle
    (9.0, -50.0, -34.0, -44.0, -20.0),  # fourth ventricle
)
# Behind the thalami lies a cistern, no ventricle: x half width, y below, z below.
_CISTERN_MM = (10.0, -36.0, 12.0)
_INTERHEMISPHERIC_MM = (3.0, 6.0)  # fissure in front of the callosum (x half width, y above)


@dataclass(frozen=True)
class Template:
    """Maps on one crop of the MNI grid; ``origin_mm`` is the world place of voxel 0.

    white, grey, ventricle : fractions 0 to 1, 1 mm.
    depth_mm : distance to the brain's surface, positive inside, every 2 mm.
    ventricle_distance_mm : distance to the nearest ventricle, 0 inside, every 2 mm.
    """

    origin_mm: NDArray[np.float64]
    white: Map
    grey: Map
    ventricle: Map
    depth_mm: Map
    ventricle_distance_mm: Map
    distance_step_mm: float = float(_DISTANCE_STEP)


@lru_cache(maxsize=1)
def load_template() -> Template:
    """Read and derive the maps (about a second); once per process."""
    t1, grey, white = (_read(name)[_CROP] for name in ("t1", "gm", "wm"))
    brain = ndimage.binary_fill_holes(t1 > 0)
    fluid = np.clip(1.0 - grey - white, 0.0, 1.0) * brain
    origin = _ORIGIN_MM + [part.start for part in _CROP]
    ventricle = fluid * _ventricle_region(fluid, origin)
    thin = (slice(None, None, _DISTANCE_STEP),) * 3
    return Template(
        origin_mm=origin,
        white=white * brain,
        grey=grey * brain,
        ventricle=ventricle.astype(np.float32),
        depth_mm=_signed_distance(np.asarray(brain[thin])),
        ventricle_distance_mm=np.maximum(-_signed_distance(ventricle[thin] > _VENTRICLE_CSF), 0),
    )


def _read(name: str) -> Map:
    # nilearn and nibabel are slow to import and only the generation needs them.
    import nibabel as nib
    import nilearn

    folder = Path(nilearn.__file__).parent / "datasets" / "data"
    image = nib.load(folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz")
    return np.asarray(image.dataobj, dtype=np.float32) / np.float32(_FULL_SCALE)


def _ventricle_region(fluid: Map, origin: NDArray[np.float64]) -> NDArray[np.bool_]:
    x, y, z = (
        start + np.arange(size).reshape([-1 if axis == k else 1 for k in range(3)])
        for axis, (start, size) in enumerate(zip(origin, fluid.shape, strict=True))
    )
    region = np.zeros(fluid.shape, dtype=bool)
    for half, y_low, y_high, z_low, z_high in _CHOSEN_MM:
        region |= (abs(x) <= half) & (y >= y_low) & (y <= y_high) & (z >= z_low) & (z <= z_high)
    half, y_below, z_below = _CISTERN_MM
    region &= ~((abs(x) <= half) & (y < y_below) & (z < z_below) & (z > _CHOSEN_MM[2][4]))
    half, y_above = _INTERHEMISPHERIC_MM
    region &= ~((abs(x) <= half) & (y > y_above))
    return region


def _signed_distance(inside: NDArray[np.bool_]) -> Map:
    into = ndimage.distance_transform_edt(inside)
    away = ndimage.distance_transform_edt(~inside)
    # Half a step: distances are to the border between voxels, not to the next centre.
    signed = np.where(inside, into - 0.5, 0.5 - away) * _DISTANCE_STEP
    return signed.astype(np.float32)
