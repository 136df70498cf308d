"""Places along lines through MNI coordinates: how near each voxel lies to one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

_EDGE_MM = 2.0
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Line:
    """Points (|x|, y, z) in MNI mm, joined by straight pieces, and how far they reach."""

    points: tuple[Point, ...]
    radius_mm: float


def near_lines(lines: Sequence[Line], x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """1 on the lines of either side, 0.5 at their radius, 0 beyond it (2 mm wide).

    x, y, z : MNI coordinates in mm that broadcast against each other.
    """
    place = (x.abs(), y, z)
    near = torch.zeros_like(x + y + z)
    for line in lines:
        distance = _distance(place, line.points)
        near = torch.maximum(near, torch.sigmoid((line.radius_mm - distance) / _EDGE_MM))
    return near


def _distance(place: tuple[Tensor, Tensor, Tensor], points: tuple[Point, ...]) -> Tensor:
    """Distance in mm of each place to the line through ``points``."""
    pieces = list(pairwise(points)) or [(points[0], points[0])]
    squared = [_squared_distance(place, start, end) for start, end in pieces]
    return torch.stack(squared).amin(dim=0).sqrt()


def _squared_distance(place: tuple[Tensor, Tensor, Tensor], start: Point, end: Point) -> Tensor:
    # Axis by axis: the coordinates stay small until they are summed.
    along = [last - first for first, last in zip(start, end, strict=True)]
    offset = [axis - first for axis, first in zip(place, start, strict=True)]
    length = max(sum(step**2 for step in along), 1e-6)
    parts = [o * (a / length) for o, a in zip(offset, along, strict=True)]
    share = (parts[0] + parts[1] + parts[2]).clamp(0, 1)
    x, y, z = ((o - share * a) ** 2 for o, a in zip(offset, along, strict=True))
    return x + y + z
