"""Where lesions lie: places in MNI space by diagnosis.

MS: periventricular, juxtacortical, deep white matter, infratentorial (McDonald criteria 2017).
AQP4+ NMOSD: around the third and fourth ventricle and the callosum, and unspecific specks in
the deep white matter (Wingerchuk et al., Neurology 2015).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lesion_dynamics.phantom.anatomy import Template, load_template
from lesion_dynamics.phantom.smooth_fields import Floats

SITES = ("periventricular", "juxtacortical", "deep", "infratentorial", "periependymal")
_PROBABILITY = {
    "MS": (0.42, 0.20, 0.28, 0.10, 0.0),
    "NMOSD": (0.12, 0.10, 0.53, 0.08, 0.17),
}
_LARGE_MM3 = 300.0
_LARGE_PROBABILITY = {
    "MS": (0.80, 0.04, 0.12, 0.04, 0.0),
    "NMOSD": (0.50, 0.0, 0.20, 0.10, 0.20),
}
"""Large lesions are mostly confluent periventricular ones."""
_WHITE_ENOUGH = 0.7
_TENTORIUM_Z_MM = -22.0
_STEP = 2  # candidate places every 2 mm


def draw_sites(rng: np.random.Generator, diagnosis: str, volumes_mm3: Floats) -> Floats:
    """Centres of lesions of the given volumes: (n, 3) MNI mm."""
    candidates = _candidates()
    centres = np.zeros((len(volumes_mm3), 3))
    for row, volume in enumerate(volumes_mm3):
        table = _LARGE_PROBABILITY if volume > _LARGE_MM3 else _PROBABILITY
        places = candidates[SITES[int(rng.choice(len(SITES), p=table[diagnosis]))]]
        jitter = rng.uniform(-0.5 * _STEP, 0.5 * _STEP, size=3)
        centres[row] = places[int(rng.integers(len(places)))] + jitter
    return np.round(centres, 2)


@lru_cache(maxsize=1)
def _candidates() -> dict[str, NDArray[np.float64]]:
    """Places in mm by site."""
    template = load_template()
    thin = (slice(None, None, _STEP),) * 3
    white = template.white[thin] > _WHITE_ENOUGH
    tissue = (template.white + template.grey)[thin] > _WHITE_ENOUGH
    from_ventricle = template.ventricle_distance_mm
    depth = template.depth_mm
    # Distance of a white voxel to the nearest one that is not.
    to_border = ndimage.distance_transform_edt(white) * _STEP
    z = _world_z(template, white.shape)
    above = z > _TENTORIUM_Z_MM
    lateral = above & (z > -4)
    near = (from_ventricle > 0) & (from_ventricle <= 7)
    midline = np.abs(_world_x(template, white.shape)) < 16
    sites = {
        "periventricular": white & near & lateral,
        "juxtacortical": white & above & (from_ventricle > 8) & (to_border <= 2.1) & (depth > 7),
        "deep": white & above & (from_ventricle > 6) & (to_border >= 3.9),
        "infratentorial": (template.white[thin] > 0.4) & ~above & (depth > 6),
        "periependymal": tissue & (from_ventricle > 0) & (from_ventricle <= 4) & midline & (z < 4),
    }
    return {name: _places(inside, template) for name, inside in sites.items()}


def _places(inside: NDArray[np.bool_], template: Template) -> NDArray[np.float64]:
    return np.argwhere(inside) * float(_STEP) + template.origin_mm


def _world_z(template: Template, shape: tuple[int, ...]) -> NDArray[np.float64]:
    z = template.origin_mm[2] + _STEP * np.arange(shape[2], dtype=np.float64)
    return np.asarray(z[None, None, :])


def _world_x(template: Template, shape: tuple[int, ...]) -> NDArray[np.float64]:
    x = template.origin_mm[0] + _STEP * np.arange(shape[0], dtype=np.float64)
    return np.asarray(x[:, None, None])
