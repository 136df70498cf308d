"""Lesions of one head: shapes of real patients' lesions, rims around ventricles, free ones.

Real shapes are bent, shrunk and moved, so no mask is seen twice alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from lesion_dynamics.settings.synthesis import HeadSettings
from lesion_dynamics.synthesis.fields import Draws, blur
from lesion_dynamics.synthesis.head import Head, template_maps
from lesion_dynamics.synthesis.lesion_shapes import load_shapes
from lesion_dynamics.synthesis.limits import GRID

_SAMPLED = 200_000
_NEVER = -9.0
_LESION_FREE = 0.12
_MOSTLY_TISSUE = 0.5
_SPECK_MM, _SPECK_SHARE = 0.9, 0.3


@dataclass(frozen=True)
class LesionMaps:
    """(x, y, z) on `GRID`. label : bool reference. brightness : factor of contrast, about 1."""

    label: Tensor
    brightness: Tensor


def draw_lesions(
    draws: Draws, head: Head, shape_files: Sequence[Path], settings: HeadSettings
) -> LesionMaps:
    """Draw the lesions of a head; now and then there are none."""
    level = torch.full(GRID, _NEVER)
    if not draws.happens(_LESION_FREE):
        if shape_files and draws.happens(0.6):
            level = torch.maximum(level, _real(draws, head, shape_files))
        if draws.happens(0.35):
            level = torch.maximum(level, _rim(draws, head))
        if draws.happens(0.45):
            volume, scale = 10 ** draws.uniform(2.0, 4.0), draws.uniform(4.0, 8.0)
            level = torch.maximum(level, _free(draws, head, scale=scale, volume_mm3=volume))
        if draws.happens(0.75):
            volume, scale = 10 ** draws.uniform(1.7, 3.5), draws.uniform(2.0, 4.0)
            level = torch.maximum(level, _free(draws, head, scale=scale, volume_mm3=volume))
        if settings.infratentorial_lesions and draws.happens(settings.infratentorial_lesions):
            volume, scale = 10 ** draws.uniform(1.5, 3.0), draws.uniform(2.5, 6.0)
            places = head.brainstem if draws.happens(0.5) else head.cerebellum * head.white
            level = torch.maximum(
                level, _free(draws, head, scale=scale, volume_mm3=volume, within=places)
            )
    label = (level > 0) & (head.fluid < _MOSTLY_TISSUE) & head.brain
    # Specks of a few voxels are noise of the field, no lesions that a rater would draw.
    label &= blur(label.float(), [_SPECK_MM] * 3) > _SPECK_SHARE
    even = settings.even_lesions > 0 and draws.happens(settings.even_lesions)
    scale = draws.uniform(18.0, 36.0) if even else 9.0
    brightness = torch.exp(0.35 * draws.field(GRID, scale=scale)).clamp(0.55, 1.9)
    return LesionMaps(label=label, brightness=brightness)


def _real(draws: Draws, head: Head, files: Sequence[Path]) -> Tensor:
    shapes = load_shapes(tuple(files), template_maps().origin_mm)
    chosen = torch.from_numpy(shapes[draws.integer(len(shapes))]).float()
    if draws.happens(0.5):
        chosen = chosen.flip(0)
        # The grid is not centred on the midplane: mirror about x = 0.
        origin = template_maps().origin_mm[0]
        shift = round(-2 * origin - (GRID[0] - 1))
        chosen = torch.roll(chosen, shift, 0)
    place = head.warp.clone()
    bend, reach = draws.uniform(0.5, 5.0), draws.uniform(10.0, 25.0)
    for axis in range(3):
        moved = bend * draws.field(GRID, scale=reach) + 1.5 * draws.normal()
        place[..., axis] += moved * (2.0 / (GRID[2 - axis] - 1))
    found = functional.grid_sample(chosen[None, None], place[None], align_corners=True)[0, 0]
    found = blur(found, [0.5] * 3) + 0.12 * draws.field(GRID, scale=2.5)
    # Some lesions shrink or vanish, a part of the brain at a time.
    lost = draws.uniform(-0.3, 2.2)
    found = found - 0.6 * (draws.field(GRID, scale=18.0) - lost).clamp(0, 1.5)
    return found - draws.uniform(0.38, 0.58) - 0.25 * head.cortex


def _rim(draws: Draws, head: Head) -> Tensor:
    """Confluent lesions that hug the ventricles, from 0 to about 12 mm wide."""
    width = draws.uniform(-3.0, 2.5) + draws.uniform(2.0, 6.0) * draws.field(
        GRID, scale=draws.uniform(12, 28)
    )
    rough = 1.2 * draws.field(GRID, scale=3.5)
    level = (width.clamp(max=14.0) + rough - head.ventricle_distance_mm) / 4.0
    level = level - 2.0 * head.cortex - 1.0 * head.nuclei
    # A coat of less than about 2 mm is what healthy ventricles have.
    return torch.where((width > 2.0) & (head.depth_mm > 12), level, _NEVER)


def _free(
    draws: Draws, head: Head, *, scale: float, volume_mm3: float, within: Tensor | None = None
) -> Tensor:
    near = draws.uniform(0.0, 1.2) * torch.exp(-head.ventricle_distance_mm / 7.0)
    under_cortex = draws.uniform(0.0, 0.5) * (blur(head.cortex, [2.0] * 3) > 0.1).float()
    allowed = (
        head.white + draws.uniform(0.0, 0.6) * head.nuclei + draws.uniform(0.0, 0.5) * head.cortex
    )
    if within is not None:
        allowed = within * (1 - head.fluid)
    field = draws.field(GRID, scale=scale) + 0.4 * draws.field(GRID, scale=max(1.5, scale / 2))
    value = field + near + under_cortex - 4.0 * (1 - allowed.clamp(0, 1))
    inside = value[head.brain]
    sample = inside[torch.arange(0, len(inside), max(1, len(inside) // _SAMPLED))]
    share = min(volume_mm3 / max(len(inside), 1), 0.05)
    bound = torch.sort(sample).values[int((1 - share) * (len(sample) - 1))]
    return (value - bound) * 0.5
