"""The template: tissue maps and distances in MNI space, 1 mm.

Source: ICBM 2009a nonlinear symmetric (Fonov et al., NeuroImage 2011), as nilearn ships it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lesion_dynamics.imaging.template_maps import ORIGIN_MM, read_template_map, ventricle_region

Map = NDArray[np.float32]

_MAPS: tuple[Literal["t1", "gm", "wm"], ...] = ("t1", "gm", "wm")
_CROP = (slice(20, 177), slice(21, 213), slice(0, 160))  # the brain with a margin of 5 mm
_VENTRICLE_CSF = 0.5
_DISTANCE_STEP = 2  # distances are smooth: every second voxel is enough


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
    t1, grey, white = (read_template_map(name)[_CROP] for name in _MAPS)
    brain = ndimage.binary_fill_holes(t1 > 0)
    fluid = np.clip(1.0 - grey - white, 0.0, 1.0) * brain
    origin = ORIGIN_MM + [part.start for part in _CROP]
    ventricle = fluid * ventricle_region(fluid.shape, origin)
    thin = (slice(None, None, _DISTANCE_STEP),) * 3
    return Template(
        origin_mm=origin,
        white=white * brain,
        grey=grey * brain,
        ventricle=ventricle.astype(np.float32),
        depth_mm=_signed_distance(np.asarray(brain[thin])),
        ventricle_distance_mm=np.maximum(-_signed_distance(ventricle[thin] > _VENTRICLE_CSF), 0),
    )


def _signed_distance(inside: NDArray[np.bool_]) -> Map:
    into = ndimage.distance_transform_edt(inside)
    away = ndimage.distance_transform_edt(~inside)
    # Half a step: distances are to the border between voxels, not to the next centre.
    signed = np.where(inside, into - 0.5, 0.5 - away) * _DISTANCE_STEP
    return signed.astype(np.float32)
