"""Irregular lesions: ellipsoids with noise-warped surfaces that grow without changing shape.

Each lesion has a level: 0 in its centre, 1 on its nominal surface. The union of all lesions
is the set of tissue voxels whose lowest level lies under one common bound; choosing the bound
as an order statistic makes the union exactly as large as the disease course says, whatever
fluid clips away and however lesions run together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lesion_dynamics.phantom.scan_grid import Tissue
from lesion_dynamics.phantom.smooth_fields import Floats

_HIGHEST_LEVEL = 1.8
_NODES = 7  # noise nodes across a lesion's box
_ROUGHNESS = 0.28
_GREY_RESISTANCE = 0.6  # lesions halt at grey matter: levels rise faster there
_NO_LESION = np.float32(9.0)
_FLUID_BOUND = np.float32(0.5)
_EDGE_VOXELS = 1.0  # partial volume: the fraction rises from 0 to 1 over about one voxel


@dataclass(frozen=True)
class LesionShape:
    """centre in MNI mm; unit-volume axes times rotation; noise on (7, 7, 7) nodes."""

    centre_mni_mm: Floats
    axes: Floats
    rotation: Floats
    noise: NDArray[np.float32]


@dataclass(frozen=True)
class LesionField:
    """Lesions on the voxels of a `Tissue` (its ``place``).

    fraction : true lesion fraction 0 to 1; >= 0.5 is the reference mask.
    depth_mm : about how far inside the lesion's surface; negative outside.
    owner : row of the nearest lesion, -1 far from any.
    """

    fraction: NDArray[np.float32]
    depth_mm: NDArray[np.float32]
    owner: NDArray[np.int32]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Voxels of the reference mask."""
        return self.depth_mm >= 0


def draw_shape(rng: np.random.Generator, centre_mni_mm: Floats) -> LesionShape:
    """Draw the shape of one lesion."""
    stretch = np.exp(np.array([0.35, 0.2, -0.1]) * np.abs(rng.standard_normal(3)))
    axes = np.round(stretch / math.prod(stretch) ** (1 / 3), 6)
    noise = ndimage.zoom(rng.standard_normal((4, 4, 4)), _NODES / 4, order=1)
    noise += 0.7 * rng.standard_normal((_NODES,) * 3)
    return LesionShape(centre_mni_mm, axes, _rotation(rng), noise.astype(np.float32))


def _rotation(rng: np.random.Generator) -> Floats:
    """A random rotation from a unit quaternion (Shoemake 1992)."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.sqrt((q * q).sum())
    matrix = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.asarray(np.round(matrix, 9), dtype=np.float64)


def render_lesions(
    tissue: Tissue,
    shapes: list[LesionShape],
    centres_mm: Floats,
    volumes_mm3: Floats,
    *,
    total_mm3: float,
) -> LesionField:
    """Lay lesions into tissue so that their union has ``total_mm3`` (to half a voxel).

    centres_mm : (n, 3) participant space. volumes_mm3 : (n,), relative sizes; 0 = absent.
    """
    level = np.full(tissue.shape, _NO_LESION, dtype=np.float32)
    owner = np.full(tissue.shape, -1, dtype=np.int32)
    radii = np.array([(3 * float(v) / (4 * math.pi)) ** (1 / 3) for v in volumes_mm3])
    voxel_from_participant = np.linalg.inv(tissue.participant_from_voxel).astype(np.float64)
    grey = tissue.volume_of(tissue.grey)
    for row in np.flatnonzero(radii > 0):
        box, found = _level_in_box(
            shapes[row], centres_mm[row], float(radii[row]), tissue, voxel_from_participant, grey
        )
        nearer = found < level[box]
        level[box][nearer] = found[nearer]
        owner[box][nearer] = row
    flat_level, flat_owner = level.reshape(-1)[tissue.place], owner.reshape(-1)[tissue.place]
    flat_level[(tissue.fluid >= _FLUID_BOUND) | ~tissue.brain] = _NO_LESION
    voxel = float(abs(np.linalg.det(tissue.affine[:3, :3])))
    bound = _bound(flat_level, wanted=round(total_mm3 / voxel))
    owned_radius = np.append(radii, 1.0).astype(np.float32)[flat_owner]
    depth = np.where(
        flat_level < _NO_LESION, (bound - flat_level) * owned_radius, -_NO_LESION
    ).astype(np.float32)
    edge = np.float32(_EDGE_VOXELS * voxel ** (1 / 3))
    return LesionField(np.clip(np.float32(0.5) + depth / edge, 0, 1), depth, flat_owner)


def _bound(level: NDArray[np.float32], *, wanted: int) -> np.float32:
    """The level under which exactly ``wanted`` voxels lie (fewer if there are not so many)."""
    reachable = level[level < _HIGHEST_LEVEL]
    if wanted <= 0 or len(reachable) == 0:
        return np.float32(-_NO_LESION)
    last = min(wanted, len(reachable)) - 1
    return np.float32(np.partition(reachable, last)[last])


def _level_in_box(
    shape: LesionShape, centre_mm: Floats, radius_mm: float, tissue: Tissue,
    voxel_from_participant: Floats, grey: NDArray[np.float32],
) -> tuple[tuple[slice, slice, slice], NDArray[np.float32]]:  # fmt: skip
    turned = (voxel_from_participant[:3, :3] * centre_mm).sum(axis=1)
    centre = voxel_from_participant[:3, 3] + turned
    to_unit = (shape.rotation.T / (radius_mm * shape.axes)[:, None])[:, :, None] * (
        tissue.participant_from_voxel[None, :3, :3]
    )
    to_unit = np.round(to_unit.sum(axis=1), 9)
    edges = np.sqrt((tissue.participant_from_voxel[:3, :3] ** 2).sum(axis=0))
    reach = _HIGHEST_LEVEL * radius_mm * float(shape.axes.max()) / edges + 1
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach) + 1, tissue.shape).astype(int)
    high = np.maximum(high, low)
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    offsets = np.ix_(*(np.arange(low[k], high[k]) - centre[k] for k in range(3)))
    unit = [row[0] * offsets[0] + row[1] * offsets[1] + row[2] * offsets[2] for row in to_unit]
    distance = np.sqrt(unit[0] * unit[0] + unit[1] * unit[1] + unit[2] * unit[2])
    half = 0.5 * (_NODES - 1)
    nodes = np.stack([half + part * (half / _HIGHEST_LEVEL) for part in unit])
    noise = ndimage.map_coordinates(shape.noise, nodes, order=1, mode="nearest", prefilter=False)
    swelling = np.clip(1 + _ROUGHNESS * noise, 0.45, 1.7)
    level = distance / swelling * (1 + _GREY_RESISTANCE * grey[box])
    return box, level.astype(np.float32)
