"""Regions of the brain in MNI space, derived from the maps that nilearn ships.

Four regions, as the diagnostic criteria name them (Filippi et al. 2016, MAGNIMS,
doi 10.1016/S1474-4422(15)00393-2; Thompson et al. 2018, McDonald 2017,
doi 10.1016/S1474-4422(17)30470-2): infratentorial; periventricular, which touches the lateral
ventricles; juxtacortical, which touches the cortex; and what is left, deep white matter. The
template has no atlas, so that tissue maps and a few planes stand for one:

- Brainstem and cerebellum: places that are certain in the cerebellum, the brainstem and the
  cerebrum spread through tissue until they meet; the fluid along the tentorium keeps them apart.
  Worked out every 2 mm.
- Lateral ventricles: connected fluid inside the box of ``imaging/template_maps.py``, without the
  third ventricle's.
- Cortex: grey matter without the nuclei, which lie in a box around basal ganglia and thalami.

"Touches" is a distance: 3 mm from the ventricles, 2 mm from the cortex. That is our choice, not
the criteria's: registration leaves a millimetre or two, and the template averages 152 brains.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.template_maps import (
    ORIGIN_MM,
    TEMPLATE_SHAPE,
    places_mm,
    read_template_map,
    ventricle_region,
)
from lesion_dynamics.lesions.tracking.neighbourhood import ball_steps

PERIVENTRICULAR_MM = 3.0
JUXTACORTICAL_MM = 2.0

_MAPS: tuple[Literal["t1", "gm", "wm"], ...] = ("t1", "gm", "wm")
_CROP = (slice(18, 179), slice(18, 215), slice(0, 162))  # the brain with a margin
_HALF = 0.5
_NUCLEI_MM = ((-32.0, 32.0), (-36.0, 24.0), (-12.0, 22.0))  # x, y, z from and to
_BELOW, _ABOVE = 1, 2
_BARRIER = 0.25  # share of fluid that nothing spreads through at first
_VENTRICLE_MM3 = 1000
_FACES = ndimage.generate_binary_structure(3, 1)
_MIDBRAIN_TOP_MM, _ALL_ABOVE_MM = -8.0, 6.0


@dataclass(frozen=True, slots=True)
class RegionMaps:
    """On the template's 1 mm grid, (x, y, z) each.

    brain, infratentorial : inside or not. near_ventricle, near_cortex : within
    `PERIVENTRICULAR_MM`, `JUXTACORTICAL_MM`; supratentorial alone.
    """

    brain: NDArray[np.bool_]
    infratentorial: NDArray[np.bool_]
    near_ventricle: NDArray[np.bool_]
    near_cortex: NDArray[np.bool_]
    affine: Affine


@lru_cache(maxsize=1)
def region_maps() -> RegionMaps:
    """Read and derive the maps (a few seconds); once a process."""
    t1, grey, white = (read_template_map(name)[_CROP] for name in _MAPS)
    origin = ORIGIN_MM + [part.start for part in _CROP]
    brain = np.asarray(ndimage.binary_fill_holes(t1 > 0), dtype=bool)
    fluid = np.clip(1.0 - grey - white, 0.0, 1.0) * brain
    below = _infratentorial(fluid, brain, origin)
    nuclei = np.ones(grey.shape, dtype=bool)
    for place, (low, high) in zip(places_mm(grey.shape, origin), _NUCLEI_MM, strict=True):
        nuclei &= (place >= low) & (place <= high)
    cortex = (grey > _HALF) & ~nuclei & ~below
    lateral = _lateral_ventricles(fluid, origin)
    affine = np.eye(4)
    affine[:3, 3] = ORIGIN_MM
    return RegionMaps(
        brain=_whole(brain),
        infratentorial=_whole(below),
        near_ventricle=_whole(_within(lateral, PERIVENTRICULAR_MM) & brain & ~below),
        near_cortex=_whole(_within(cortex, JUXTACORTICAL_MM) & brain & ~below),
        affine=affine,
    )


def _whole(cropped: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """On the template's whole grid."""
    whole = np.zeros(TEMPLATE_SHAPE, dtype=bool)
    whole[_CROP] = cropped
    return whole


def _lateral_ventricles(
    fluid: NDArray[np.float32], origin_mm: NDArray[np.float64]
) -> NDArray[np.bool_]:
    region = ventricle_region(fluid.shape, origin_mm, ventricles=("lateral",))
    region &= ~ventricle_region(fluid.shape, origin_mm, ventricles=("third",))
    labels, count = ndimage.label((fluid > _HALF) & region)
    large = np.bincount(labels.ravel(), minlength=count + 1) >= _VENTRICLE_MM3
    large[0] = False  # the box also holds bits of the insula's fluid
    found: NDArray[np.bool_] = large[labels]
    return found


def _within(place: NDArray[np.bool_], distance_mm: float) -> NDArray[np.bool_]:
    """Voxels of a 1 mm grid whose centre lies so near to one of the place; it leaves the border
    of the grid free.
    """
    near = np.zeros(place.shape, dtype=bool)
    places = np.flatnonzero(place)
    for step in ball_steps(distance_mm, spacing_mm=(1.0, 1.0, 1.0), shape=place.shape):
        near.reshape(-1)[places + step] = True
    return near


def _infratentorial(
    fluid: NDArray[np.float32], brain: NDArray[np.bool_], origin_mm: NDArray[np.float64]
) -> NDArray[np.bool_]:
    height = int(_ALL_ABOVE_MM - origin_mm[2]) + 4  # beyond, nothing is below
    coarse = _largest_of_blocks(fluid[:, :, :height])
    x, y, z = (
        np.broadcast_to(2 * place - start + 0.5, coarse.shape)
        for place, start in zip(places_mm(coarse.shape, origin_mm), origin_mm, strict=True)
    )
    parts = np.zeros(coarse.shape, dtype=np.uint8)
    # Certain on any brain in MNI space; the spreading decides about what lies between.
    parts[(abs(x) > 6) & (abs(x) < 38) & (y < -50) & (y > -78) & (z > -48) & (z < -28)] = _BELOW
    parts[(abs(x) < 10) & (y < -18) & (y > -36) & (z < -14)] = _BELOW
    parts[(z > _ALL_ABOVE_MM) | (y > -4) | ((abs(x) > 34) & (y > -32))] = _ABOVE
    parts[(z > -12) & (y < -72) & (abs(x) > 4)] = _ABOVE
    parts[(abs(x) < 22) & (y > -24) & (z > _MIDBRAIN_TOP_MM)] = _ABOVE
    tissue = _largest_of_blocks(brain[:, :, :height].astype(np.float32)) > 0
    for open_to in (tissue & (coarse < _BARRIER), tissue):
        parts = _spread(parts, open_to)
    fine = np.repeat(np.repeat(np.repeat(parts == _BELOW, 2, 0), 2, 1), 2, 2)
    below = np.zeros(brain.shape, dtype=bool)
    below[:, :, :height] = fine[: brain.shape[0], : brain.shape[1], :height]
    return below & brain


def _spread(parts: NDArray[np.uint8], open_to: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Let the parts grow by one voxel a round through what is open, until nothing is left."""
    while True:
        grown = ndimage.grey_dilation(parts, footprint=_FACES)
        free = (parts == 0) & open_to & (grown > 0)
        if not free.any():
            return parts
        parts = np.where(free, grown, parts)


def _largest_of_blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest value of each block of 2 x 2 x 2: a thin barrier stays closed."""
    even = np.pad(values, [(0, size % 2) for size in values.shape])
    blocks = even.reshape(*(n for size in even.shape for n in (size // 2, 2)))
    return np.asarray(blocks.max(axis=(1, 3, 5)), dtype=np.float32)
