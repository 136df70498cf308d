"""The grid of one scan, and the participant's tissue sampled on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.phantom.anatomy import Template
from lesion_dynamics.phantom.participant_anatomy import ParticipantAnatomy
from lesion_dynamics.phantom.smooth_fields import Floats, sample, upsample_linear

Flat = NDArray[np.float32]

_FIELD_LOW_MM = np.array([-88.0, -128.0, -90.0])
_FIELD_HIGH_MM = np.array([88.0, 92.0, 100.0])
_COORDINATE_STEP_MM = 6.0
_OUTSIDE_MARGIN_MM = 4.0  # rendered beyond the mask, so that blur does not pull its edge to 0
_FOV_MARGIN_VOXELS = 2


@dataclass(frozen=True)
class Tissue:
    """Tissue on the voxels of a scan that matter.

    shape, affine : of the grid; affine to scanner millimetres, RAS+.
    participant_from_voxel : (4, 4) voxel indices to participant space.
    place : (n,) flat C-order indices of the voxels in and just around the brain; what
        follows is given at these.
    brain : whether the voxel belongs to the brain mask.
    white, grey, fluid : fractions with sum 1. ventricle : fraction, part of fluid.
    ventricle_distance_mm, depth_mm : to the ventricles, to the brain's surface.
    cortex_texture, white_texture : noise of about unit deviation.
    """

    shape: tuple[int, int, int]
    affine: Affine
    participant_from_voxel: Affine
    place: NDArray[np.int64]
    brain: NDArray[np.bool_]
    white: Flat
    grey: Flat
    fluid: Flat
    ventricle: Flat
    ventricle_distance_mm: Flat
    depth_mm: Flat
    cortex_texture: Flat
    white_texture: Flat

    def volume_of(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """A 3D array with ``values`` in their places and 0 elsewhere."""
        volume = np.zeros(self.shape, dtype=np.float32)
        volume.reshape(-1)[self.place] = values
        return volume


def sample_tissue(
    anatomy: ParticipantAnatomy,
    template: Template,
    *,
    voxel_sizes_mm: tuple[float, float, float],
    participant_from_scanner: Affine,
) -> Tissue:
    """Lay a tight field of view around the brain and sample every map once.

    participant_from_scanner : rigid; where the head lay in the scanner.
    """
    sizes = np.asarray(voxel_sizes_mm)
    shape, affine = _grid(anatomy, template, sizes, participant_from_scanner)
    to_participant = _compose(participant_from_scanner, affine)
    step = max(1, int(_COORDINATE_STEP_MM // sizes.max()))
    coarse_shape = tuple((size - 1 + step - 1) // step + 1 for size in shape)
    nodes = _nodes((max(coarse_shape[0], 2), max(coarse_shape[1], 2), max(coarse_shape[2], 2)))
    coarse_mm = anatomy.to_template_mm(_apply(to_participant, nodes.reshape(3, -1) * step))
    full_mm = upsample_linear(coarse_mm.reshape(nodes.shape), step=step, shape=shape)
    coarse_depth = sample(template.depth_mm, _distance_index(coarse_mm, template))
    near = upsample_linear(coarse_depth.reshape(nodes.shape[1:]), step=step, shape=shape).ravel()
    place = np.flatnonzero(near > anatomy.brain_edge_mm - _OUTSIDE_MARGIN_MM - _COORDINATE_STEP_MM)
    template_mm = full_mm.reshape(3, -1)[:, place]
    depth = sample(template.depth_mm, _distance_index(template_mm, template))
    kept = depth > anatomy.brain_edge_mm - _OUTSIDE_MARGIN_MM
    return _sampled(
        anatomy, template, template_mm[:, kept], depth[kept],
        shape=shape, affine=affine, to_participant=to_participant, place=place[kept],
    )  # fmt: skip


def _sampled(
    anatomy: ParticipantAnatomy, template: Template, template_mm: Flat, depth: Flat, *,
    shape: tuple[int, int, int], affine: Affine, to_participant: Affine, place: NDArray[np.int64],
) -> Tissue:  # fmt: skip
    index = template_mm - template.origin_mm.astype(np.float32)[:, None]
    white, grey = sample(template.white, index), sample(template.grey, index)
    ventricle = sample(template.ventricle, index)
    texture = anatomy.texture_index(template_mm, template)
    cortex_texture = sample(anatomy.cortex_texture, texture)
    # The template averages 152 brains: its sulci are half tissue. An own gain opens them,
    # wider where the texture says so; the ventricles are sharp already.
    opened = anatomy.fluid_gain * (1 + np.float32(0.25) * cortex_texture)
    gain = np.float32(1) + (np.clip(opened, 1, 5) - 1) * (1 - ventricle)
    fluid = np.clip((1 - white - grey) * gain, 0, 1).astype(np.float32)
    share = white / np.maximum(white + grey, np.float32(1e-3))
    share = np.clip((share - np.float32(0.5)) * anatomy.tissue_sharpness + np.float32(0.5), 0, 1)
    tissue = 1 - fluid
    return Tissue(
        shape=shape,
        affine=affine,
        participant_from_voxel=to_participant,
        place=place,
        brain=depth > anatomy.brain_edge_mm,
        white=(tissue * share).astype(np.float32),
        grey=(tissue * (1 - share)).astype(np.float32),
        fluid=fluid,
        ventricle=ventricle,
        ventricle_distance_mm=sample(
            template.ventricle_distance_mm, _distance_index(template_mm, template)
        ),
        depth_mm=depth - np.float32(anatomy.brain_edge_mm),
        cortex_texture=cortex_texture,
        white_texture=sample(anatomy.white_texture, texture),
    )


def _grid(
    anatomy: ParticipantAnatomy, template: Template, sizes: Floats, participant_from_scanner: Affine
) -> tuple[tuple[int, int, int], Affine]:
    """Shape and affine of the smallest grid that holds the brain with a margin."""
    counts = np.ceil((_FIELD_HIGH_MM - _FIELD_LOW_MM) / _COORDINATE_STEP_MM).astype(int) + 1
    nodes = _nodes((counts[0], counts[1], counts[2]))
    scanner_mm = nodes * _COORDINATE_STEP_MM + _FIELD_LOW_MM[:, None, None, None]
    places = _apply(participant_from_scanner, scanner_mm.reshape(3, -1))
    depth = sample(template.depth_mm, _distance_index(anatomy.to_template_mm(places), template))
    # A node up to one step outside may have brain beside it.
    inside = scanner_mm.reshape(3, -1)[:, depth > anatomy.brain_edge_mm - 0.5 * _COORDINATE_STEP_MM]
    margin = _FOV_MARGIN_VOXELS * sizes + 0.5 * _COORDINATE_STEP_MM
    low, high = inside.min(axis=1) - margin, inside.max(axis=1) + margin
    shape = np.ceil((high - low) / sizes).astype(int) + 1
    affine = np.diag([*sizes, 1.0])
    affine[:3, 3] = np.round(low, 3)
    return (int(shape[0]), int(shape[1]), int(shape[2])), affine


def _distance_index(template_mm: NDArray[np.floating], template: Template) -> NDArray[np.floating]:
    origin = template.origin_mm.astype(template_mm.dtype)[:, None]
    return np.asarray((template_mm - origin) / template.distance_step_mm)


def _nodes(shape: tuple[int, int, int]) -> Floats:
    return np.stack(np.meshgrid(*(np.arange(float(size)) for size in shape), indexing="ij"))


def _apply(affine: Affine, places: Floats) -> Floats:
    # Written out: a matrix product may be summed in another order on another processor.
    return np.stack(
        [
            row[0] * places[0] + row[1] * places[1] + row[2] * places[2] + row[3]
            for row in affine[:3]
        ]
    )


def _compose(second: Affine, first: Affine) -> Affine:
    columns = [_apply(second, first[:3, k : k + 1])[:, 0] for k in range(4)]
    product = np.eye(4)
    for k, column in enumerate(columns):
        product[:3, k] = column - (second[:3, 3] if k < 3 else 0.0)
    return product
