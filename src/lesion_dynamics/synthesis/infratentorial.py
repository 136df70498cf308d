"""Brainstem and cerebellum: where they lie in MNI space.

The template's maps call the brainstem half grey, half white matter, and it lies at the surface:
drawn as the rest it would be folded cortex, which it has not. The lines and their radii are our own
reading of the template; its volume is held against an adult's in the tests.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lesion_dynamics.synthesis.mni_lines import Line, near_lines

_BRAINSTEM = (
    Line(((0, -26, -8), (0, -27, -20)), 14.0),  # midbrain with the peduncles
    Line(((0, -25, -24), (0, -28, -38)), 15.0),  # pons
    Line(((0, -34, -44), (0, -45, -64)), 9.0),  # medulla oblongata
    # middle cerebellar peduncles
    Line(((8, -30, -32), (24, -48, -34)), 6.0),
)
_CEREBELLUM_Z_MM, _CEREBELLUM_Y_MM = -16.0, -38.0
_EDGE_MM = 3.0


def brainstem_places(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """The brainstem, 0 to 1; x, y, z : MNI coordinates in mm that broadcast."""
    return near_lines(_BRAINSTEM, x, y, z)


def cerebellum_places(y: Tensor, z: Tensor) -> Tensor:
    """The cerebellum, 0 to 1: below and behind; y, z : MNI coordinates in mm that broadcast."""
    return torch.sigmoid((_CEREBELLUM_Z_MM - z) / _EDGE_MM) * torch.sigmoid(
        (_CEREBELLUM_Y_MM - y) / _EDGE_MM
    )
