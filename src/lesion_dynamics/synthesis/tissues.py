"""The maps that a region is rendered from: one byte a voxel, as they are stored and read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

_SHARE = (1 / 255, 0.0)
_MILLIMETRES = (0.25, 0.0)
MAPS: dict[str, tuple[float, float]] = {
    # name: (step of one unit, value of 0)
    "white": _SHARE,
    "cortex": _SHARE,
    "nuclei": _SHARE,
    "fluid": _SHARE,
    "ventricle": _SHARE,
    "brain": _SHARE,
    "depth_mm": (0.25, -10.0),
    "ventricle_distance_mm": _MILLIMETRES,
    "side_mm": _MILLIMETRES,
    "limbic": _SHARE,
    "tracts": _SHARE,
    "ventricle_coat": _SHARE,
    "lesion_label": _SHARE,
    "lesion_brightness": (0.01, 0.0),
    "lesion_surroundings": _SHARE,
}
PLACES = {name: place for place, name in enumerate(MAPS)}
STEPS, ZEROS = (np.array(row, dtype=np.float32) for row in zip(*MAPS.values(), strict=True))


@dataclass(frozen=True)
class Tissues:
    """What is needed to render a region.

    packed : (map, x, y, z) uint8, see `MAPS`; it may be a view of a larger array.
    White, cortex, nuclei and fluid sum to 1 in the brain. ventricle is a part of fluid; limbic and
    tracts, 0 to 1, are places that are bright on FLAIR in health;
    ventricle_coat and lesion_surroundings are ventricle and lesion_label blurred by 0.8 and 2.5 mm.
    pieces : so many regions lie behind each other along z; thick slices end between them.
    """

    packed: Tensor
    pieces: int = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(x, y, z)."""
        _, x, y, z = self.packed.shape
        return x, y, z

    def bytes_of(self, name: str) -> Tensor:
        """One map as it is stored, (x, y, z) uint8."""
        return self.packed[PLACES[name]]

    def map_of(self, name: str) -> Tensor:
        """One map in its own units, (x, y, z) float32."""
        step, zero = MAPS[name]
        return self.bytes_of(name).float() * step + zero

    def exceeds(self, name: str, level: float) -> Tensor:
        """Where one map is above ``level``, (x, y, z) bool."""
        step, zero = MAPS[name]
        return self.bytes_of(name) > math.floor((level - zero) / step)

    def with_maps(self, maps: Mapping[str, Tensor]) -> Tissues:
        """The same region with other maps in place of some."""
        packed = self.packed.clone()
        for name, values in maps.items():
            packed[PLACES[name]] = as_bytes(name, values)
        return replace(self, packed=packed)


def as_bytes(name: str, values: Tensor) -> Tensor:
    """A map as it is stored: rounded to its step, cut at its range."""
    step, zero = MAPS[name]
    return ((values - zero) / step).round().clamp(0, 255).to(torch.uint8)
