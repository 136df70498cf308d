"""Where a healthy brain is bright on FLAIR: the limbic lobe, and white-matter tracts.

Both draw false lesions. Limbic grey matter is brighter than the rest of the cortex (Hirai et al.
2000, Radiology 215:470); so are the corticospinal tract in the internal capsule and the late
myelinating white matter around the trigones (Yagishita et al. 1994, Radiology 191:455; Parazzini
et al. 2002, AJNR 23:1669). Places are lines through MNI coordinates of common atlases, in
millimetres; a head's bending moves them as it moves the tissue.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

_EDGE_MM = 2.0
_Point = tuple[float, float, float]


@dataclass(frozen=True)
class _Line:
    """Points (|x|, y, z) in mm, joined by straight pieces, and how far they reach."""

    points: tuple[_Point, ...]
    radius_mm: float


_LIMBIC = (
    # hippocampus from head to tail, amygdala, parahippocampal gyrus
    _Line(((23, -6, -22), (27, -22, -14), (28, -34, -5), (21, -40, 2)), 8.0),
    _Line(((23, -4, -20),), 9.0),
    _Line(((20, -8, -30), (24, -30, -17)), 7.0),
    # insula
    _Line(((37, 16, -4), (39, 0, 2), (38, -14, 6)), 8.0),
    # cingulate gyrus around the corpus callosum, subcallosal area
    _Line(((5, 16, -10), (5, 36, -4), (5, 40, 10), (5, 28, 26), (5, 8, 36)), 7.0),
    _Line(((5, 8, 36), (5, -16, 40), (6, -40, 34), (7, -52, 20), (9, -48, 6)), 7.0),
    # fornix: body and crus
    _Line(((2, -8, 18), (3, -24, 17), (12, -34, 10), (20, -36, 2)), 3.0),
)
_TRACTS = (
    # corticospinal tract: cerebral peduncle, posterior limb of the internal capsule, corona
    _Line(((14, -18, -10), (22, -19, 4), (23, -20, 16), (22, -24, 32)), 5.0),
    # white matter behind and beside the trigones
    _Line(((30, -46, 14), (28, -62, 14)), 8.0),
)


def bright_places(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Limbic lobe and tracts, each 0 to 1.

    x, y, z : MNI coordinates in mm that broadcast against each other.
    """
    return _near(_LIMBIC, x, y, z), _near(_TRACTS, x, y, z)


def _near(lines: tuple[_Line, ...], x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    place = (x.abs(), y, z)
    near = torch.zeros_like(x + y + z)
    for line in lines:
        distance = _distance(place, line.points)
        near = torch.maximum(near, torch.sigmoid((line.radius_mm - distance) / _EDGE_MM))
    return near


def _distance(place: tuple[Tensor, Tensor, Tensor], points: tuple[_Point, ...]) -> Tensor:
    """Distance in mm of each place to the line through ``points``."""
    pieces = list(pairwise(points)) or [(points[0], points[0])]
    squared = [_squared_distance(place, start, end) for start, end in pieces]
    return torch.stack(squared).amin(dim=0).sqrt()


def _squared_distance(place: tuple[Tensor, Tensor, Tensor], start: _Point, end: _Point) -> Tensor:
    # Axis by axis: the coordinates stay small until they are summed.
    along = [last - first for first, last in zip(start, end, strict=True)]
    offset = [axis - first for axis, first in zip(place, start, strict=True)]
    length = max(sum(step**2 for step in along), 1e-6)
    parts = [o * (a / length) for o, a in zip(offset, along, strict=True)]
    share = (parts[0] + parts[1] + parts[2]).clamp(0, 1)
    x, y, z = ((o - share * a) ** 2 for o, a in zip(offset, along, strict=True))
    return x + y + z
