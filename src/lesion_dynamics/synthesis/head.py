"""One head: the template's tissues, deformed, folded afresh and made sharp.

The MNI152 maps average many brains, so their cortex is blurred. Here a random field decides
which of the blurred folds is white matter; a ribbon of cortex is laid around it and what lies
outside the ribbon is fluid. Most draws so have sharp gyri and sulci of their own; in some heads
folds stay blurred, as those that a scan cannot tell apart: cortex and white matter mix, and sulci
are half full of fluid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lesion_dynamics.phantom.anatomy import load_template
from lesion_dynamics.settings.synthesis import HeadSettings
from lesion_dynamics.synthesis.bright_places import bright_places
from lesion_dynamics.synthesis.fields import Draws, blur
from lesion_dynamics.synthesis.infratentorial import brainstem_places, cerebellum_places
from lesion_dynamics.synthesis.limits import GRID

_SURFACE_FOLDS_MM = 24.0  # deeper grey matter is nuclei, not cortex
_BLURRED = 0.2
"""Share of heads whose folds stay blurred."""
_GREY_BRAINSTEM = 0.6
"""The largest grey part of the brainstem."""


@dataclass(frozen=True)
class TemplateMaps:
    """(x, y, z) float32 on `GRID`, RAS+ axes, 1 mm.

    white, grey, ventricle : fractions. depth_mm : to the surface, positive inside.
    ventricle_distance_mm. side_mm : |x|, distance to the midplane. cerebellum, limbic,
    tracts, brainstem : 0 to 1, see :mod:`lesion_dynamics.synthesis.bright_places` and
    :mod:`lesion_dynamics.synthesis.infratentorial`.
    origin_mm : world place of voxel 0.
    """

    stack: Tensor
    origin_mm: tuple[float, float, float]


@lru_cache(maxsize=1)
def template_maps() -> TemplateMaps:
    """The maps of :func:`lesion_dynamics.phantom.anatomy.load_template`."""
    template = load_template()
    white = torch.from_numpy(np.ascontiguousarray(template.white))
    shape = white.shape
    grey = torch.from_numpy(np.ascontiguousarray(template.grey))
    ventricle = torch.from_numpy(np.ascontiguousarray(template.ventricle))

    def fine(values: np.ndarray) -> Tensor:
        # Distances are given at every second voxel: their lattice may reach past the grid.
        coarse = torch.from_numpy(np.ascontiguousarray(values))[None, None]
        size = [2 * (n - 1) + 1 for n in values.shape]
        up = functional.interpolate(coarse, size=size, mode="trilinear", align_corners=True)[0, 0]
        missing = [max(0, n - m) for n, m in zip(shape, up.shape, strict=True)]
        up = functional.pad(
            up[None, None], (0, missing[2], 0, missing[1], 0, missing[0]), mode="replicate"
        )
        return up[0, 0, : shape[0], : shape[1], : shape[2]]

    depth, distance = fine(template.depth_mm), fine(template.ventricle_distance_mm)
    x, y, z = (
        torch.arange(n, dtype=torch.float32).reshape([-1 if a == k else 1 for k in range(3)])
        + float(template.origin_mm[a])
        for a, n in enumerate(shape)
    )
    side = x.abs().expand(shape)
    cerebellum = cerebellum_places(y, z).expand(shape)
    limbic, tracts = bright_places(x, y, z)
    brainstem = brainstem_places(x, y, z)
    stack = torch.stack(
        [white, grey, ventricle, depth, distance, side, cerebellum, limbic, tracts, brainstem]
    )
    stack = functional.pad(stack, [p for a in (2, 1, 0) for p in (0, GRID[a] - shape[a])])
    for axis in range(3):
        # Beyond the crop nothing but outside: far from every tissue.
        edge = [slice(None)] * 4
        edge[axis + 1] = slice(shape[axis], None)
        stack[3][tuple(edge[1:])] = -10.0
    origin = tuple(float(value) for value in template.origin_mm)
    return TemplateMaps(stack, (origin[0], origin[1], origin[2]))


@dataclass(frozen=True)
class Head:
    """Tissue of one drawn head on `GRID`.

    white, cortex, nuclei, fluid : fractions with sum 1 inside the brain. ventricle : part of
    fluid. brain : bool. depth_mm, ventricle_distance_mm, side_mm. limbic, tracts, brainstem,
    cerebellum : 0 to 1.
    warp : (x, y, z, 3) place of each voxel on the template's grid, in the units of grid_sample.
    """

    white: Tensor
    cortex: Tensor
    nuclei: Tensor
    fluid: Tensor
    ventricle: Tensor
    brain: Tensor
    depth_mm: Tensor
    ventricle_distance_mm: Tensor
    side_mm: Tensor
    limbic: Tensor
    tracts: Tensor
    brainstem: Tensor
    cerebellum: Tensor
    warp: Tensor


def draw_head(draws: Draws, settings: HeadSettings) -> Head:
    """Draw a head: position, size, shape, width of ventricles and sulci, folding."""
    maps = template_maps()
    warp = _warp(draws, maps)
    stack = functional.grid_sample(
        maps.stack[None], warp[None], mode="bilinear", padding_mode="border", align_corners=True
    )[0]
    white, grey, ventricle, depth, distance, side, cerebellum, limbic, tracts, brainstem = stack
    inside = depth > draws.uniform(-0.5, 2.5)
    cortical = torch.sigmoid((_SURFACE_FOLDS_MM - depth) / 2.0).clamp(min=0.0)
    cortical = torch.maximum(cortical, cerebellum)
    if settings.brainstem:
        cortical = cortical * (1 - brainstem)
    folding = _folding(draws, white, cerebellum, cortical)
    tissue = _tissue(draws, folding, (1 - white - grey).clamp(0, 1), cerebellum, cortical)
    fluid_ventricle = torch.sigmoid((ventricle - 0.5) * 10)
    tissue = tissue * (1 - fluid_ventricle)
    nuclei_share = torch.sigmoid((grey - white) * draws.uniform(4.0, 9.0)) * (1 - cortical)
    if settings.brainstem:  # nuclei and tracts that no scan tells apart
        nuclei_share = torch.lerp(
            nuclei_share, torch.tensor(draws.uniform(0.0, _GREY_BRAINSTEM)), brainstem
        )
    white_share = torch.lerp(1 - nuclei_share, folding.blade, cortical)
    brain = inside.float()
    return Head(
        white=tissue * white_share * brain,
        cortex=tissue * (1 - white_share) * cortical * brain,
        nuclei=tissue * (1 - white_share) * (1 - cortical) * brain,
        fluid=(1 - tissue) * brain,
        ventricle=fluid_ventricle * brain,
        brain=inside,
        depth_mm=depth,
        ventricle_distance_mm=distance,
        side_mm=side,
        limbic=limbic,
        tracts=tracts,
        brainstem=brainstem,
        cerebellum=cerebellum,
        warp=warp,
    )


@dataclass(frozen=True)
class _Folding:
    """blade : white matter of the folds, 0 to 1. folds, fine : fields of unit deviation at the
    size of gyri and of folia. blurred : whether cortex and white matter mix, without a ribbon.
    """

    blade: Tensor
    folds: Tensor
    fine: Tensor
    blurred: bool


def _folding(draws: Draws, white: Tensor, cerebellum: Tensor, cortical: Tensor) -> _Folding:
    """Which of the blurred folds are white: a field at the size of gyri, or of folia, says."""
    folds = draws.field(GRID, scale=draws.uniform(4.0, 7.0))
    fine = draws.field(GRID, scale=draws.uniform(2.0, 3.0))
    field = torch.lerp(0.85 * folds + 0.35 * fine, fine, cerebellum)
    unsure = (4 * white * (1 - white)).clamp(0, 1)
    lift = draws.uniform(-0.06, 0.08)
    blurred = draws.happens(_BLURRED)
    # The cerebellum's blades are thinner than the template's voxels: less white is enough.
    middle = torch.lerp(torch.full_like(white, 0.5), torch.full_like(white, 0.22), cerebellum)
    strength = draws.uniform(0.0, 0.10) if blurred else draws.uniform(0.10, 0.26)
    level = white - middle + lift + strength * field * unsure * cortical
    if blurred:  # a slope that reaches both ends: what is white in the maps stays white
        blade = (0.5 + draws.uniform(1.1, 2.2) * level).clamp(0, 1)
    else:
        blade = torch.sigmoid(draws.uniform(5.0, 12.0) * level)
    return _Folding(blade, folds, fine, blurred)


def _tissue(
    draws: Draws, folding: _Folding, fluid_map: Tensor, cerebellum: Tensor, cortical: Tensor
) -> Tensor:
    """What is tissue and no fluid, 0 to 1."""
    bottom = draws.uniform(0.35, 0.6)
    closed = 1 - torch.sigmoid((fluid_map - bottom + 0.1 * folding.fine * cortical) * 12)
    if folding.blurred:  # sulci half full of fluid instead of a ribbon with an edge
        filled = (fluid_map * draws.uniform(1.2, 3.0) * (1 + 0.3 * folding.folds)).clamp(0, 1)
        return torch.lerp(closed, 1 - filled, cortical)
    # Cortex: a ribbon around white matter; its width follows from blur and bound.
    spread = blur(folding.blade, [draws.uniform(1.5, 2.1)] * 3)
    bound = draws.uniform(0.03, 0.10) * (1 + 0.5 * draws.field(GRID, scale=20.0)).clamp(0.3, 2.0)
    ribbon = torch.sigmoid((spread - bound) / (0.25 * bound))
    # Between the folia lies little fluid, and it is narrow.
    ribbon = torch.maximum(ribbon, cerebellum * (1 - 0.5 * torch.sigmoid((folding.fine - 1.3) * 6)))
    return torch.lerp(closed, ribbon * closed, cortical)


def _warp(draws: Draws, maps: TemplateMaps) -> Tensor:
    """Places on the template's grid: turned, scaled, bent; ventricles wider or narrower."""
    axes = [torch.arange(n, dtype=torch.float32) for n in GRID]
    centre = torch.tensor([80.0, 96.0, 80.0])
    place = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1) - centre
    matrix = _turn([0.12 * draws.normal() for _ in range(3)])
    size = 1 + 0.06 * draws.normal()
    stretch = torch.diag(torch.tensor([1 / (size + 0.04 * draws.normal()) for _ in range(3)]))
    place = place @ (matrix @ stretch).T
    if draws.happens(0.5):
        place[..., 0] = -place[..., 0]
    place = place + centre
    coarse, fine = draws.uniform(1.5, 4.0), draws.uniform(0.5, 1.8)
    for axis in range(3):
        place[..., axis] += coarse * draws.field(GRID, scale=34.0) + fine * draws.field(
            GRID, scale=13.0
        )
    return _widened(draws, maps, place)


def _widened(draws: Draws, maps: TemplateMaps, place: Tensor) -> Tensor:
    extent = torch.tensor([n - 1.0 for n in GRID])

    def in_units(voxels: Tensor) -> Tensor:
        return (2 * voxels / extent - 1).flip(-1)

    distance = maps.stack[4]
    gradient = torch.stack(torch.gradient(blur(distance, [1.5] * 3)), dim=0)
    found = functional.grid_sample(
        torch.cat([distance[None], gradient])[None],
        in_units(place)[None],
        padding_mode="border",
        align_corners=True,
    )[0]
    near = (1 - found[0] / 16.0).clamp(min=0)
    width = draws.uniform(-1.0, 4.0)
    place = place - width * (found[1:] * near).movedim(0, -1)
    return in_units(place)


def _turn(angles: list[float]) -> Tensor:
    matrix = torch.eye(3)
    for axis, angle in enumerate(angles):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = torch.eye(3)
        cosine, sine = torch.cos(torch.tensor(angle)), torch.sin(torch.tensor(angle))
        turn[first, first] = turn[second, second] = cosine
        turn[first, second], turn[second, first] = -sine, sine
        matrix = matrix @ turn
    return matrix
