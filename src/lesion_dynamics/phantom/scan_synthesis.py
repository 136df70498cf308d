"""One scan from its ingredients: anatomy, lesions, protocol, position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.phantom.anatomy import Template
from lesion_dynamics.phantom.lesion_shapes import LesionField, LesionShape, render_lesions
from lesion_dynamics.phantom.participant_anatomy import ParticipantAnatomy
from lesion_dynamics.phantom.protocol import Protocol
from lesion_dynamics.phantom.scan_grid import Tissue, sample_tissue
from lesion_dynamics.phantom.scanner import LesionLook, acquire, slab_means
from lesion_dynamics.phantom.smooth_fields import Floats

_CONTRAST_SPREAD = 0.22
_MASK_FRACTION = 0.5


@dataclass(frozen=True)
class Lesions:
    """The lesions of a participant: shapes, places in participant space, own appearance.

    appearance : (n, 3) factors of FLAIR contrast, T1w contrast and edge width in mm.
    """

    shapes: list[LesionShape]
    centres_mm: Floats
    appearance: Floats


@dataclass(frozen=True)
class SyntheticScan:
    """images : FLAIR and T1w, 0 outside the brain. mask : uint8 reference.

    lesion_volumes_mm3 : (n,) part of the mask that belongs to each lesion.
    """

    images: Mapping[str, Image]
    mask: Image
    brain_volume_mm3: float
    lesion_volumes_mm3: Floats


def draw_appearance(rng: np.random.Generator, count: int) -> Floats:
    """Lesions differ: by a fifth in FLAIR, from none to half as dark again in T1w."""
    flair = np.clip(1 + _CONTRAST_SPREAD * rng.standard_normal(count), 0.55, 1.6)
    t1w = rng.uniform(0.3, 1.6, size=count)
    return np.stack([flair, t1w, rng.uniform(1.0, 3.0, size=count)], axis=1)


def synthesise(
    anatomy: ParticipantAnatomy, template: Template, lesions: Lesions, protocol: Protocol,
    rng: np.random.Generator, *,
    volumes_mm3: Floats, total_mm3: float, participant_from_scanner: Affine,
) -> SyntheticScan:  # fmt: skip
    """Acquire one scan. ``volumes_mm3`` (n,) at this session; their union is ``total_mm3``."""
    tissue = sample_tissue(
        anatomy, template,
        voxel_sizes_mm=protocol.voxel_sizes_mm, participant_from_scanner=participant_from_scanner,
    )  # fmt: skip
    field = render_lesions(
        tissue, lesions.shapes, lesions.centres_mm, volumes_mm3, total_mm3=total_mm3
    )
    look = LesionLook(
        flair=(protocol.lesion_contrast * lesions.appearance[:, 0]).astype(np.float32),
        t1w=(protocol.lesion_darkness * lesions.appearance[:, 1]).astype(np.float32),
        edge_mm=_edge_mm(lesions, volumes_mm3),
        halo=protocol.halo,
    )
    images = acquire(tissue, field, look, protocol, rng)
    return _written(tissue, field, images, slab=protocol.written_slab, count=len(lesions.shapes))


def _edge_mm(lesions: Lesions, volumes_mm3: Floats) -> NDArray[np.float32]:
    # A small lesion with a wide edge would never reach its brightness.
    radius = np.array([(0.2387 * float(volume)) ** (1 / 3) for volume in volumes_mm3])
    edge = np.minimum(lesions.appearance[:, 2], np.maximum(radius, 1.0))
    return np.asarray(edge, dtype=np.float32)


def _written(
    tissue: Tissue, field: LesionField, images: Mapping[str, NDArray[np.float32]], *,
    slab: int, count: int,
) -> SyntheticScan:  # fmt: skip
    affine = np.array(tissue.affine)
    brain = tissue.volume_of(tissue.brain.astype(np.float32))
    if slab == 1:
        mask = tissue.volume_of(field.mask.astype(np.float32)) > 0
        inside = brain > 0
    else:
        affine[:3, 3] += affine[:3, 2] * (slab - 1) / 2
        affine[:3, 2] *= slab
        inside = slab_means(brain, slab) >= _MASK_FRACTION
        mask = (slab_means(tissue.volume_of(field.fraction), slab) >= _MASK_FRACTION) & inside
        images = {
            name: np.where(inside, np.maximum(slab_means(voxels, slab), 1), 0)
            for name, voxels in images.items()
        }
    voxel = float(abs(np.linalg.det(affine[:3, :3])))
    owned = np.bincount(field.owner[field.mask], minlength=count)[:count]
    own_voxel = float(abs(np.linalg.det(tissue.affine[:3, :3])))
    return SyntheticScan(
        images={name: Image(voxels, affine) for name, voxels in images.items()},
        mask=Image(mask.astype(np.uint8), affine),
        brain_volume_mm3=round(float(inside.sum()) * voxel, 3),
        lesion_volumes_mm3=np.round(owned * own_voxel, 3),
    )
