"""One participant's head: an own smooth deformation, atrophy and tissue texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.phantom.anatomy import Template
from lesion_dynamics.phantom.smooth_fields import Floats, sample, smooth_noise

LATTICE_STEP_MM = 6.0
_LATTICE_ORIGIN_MM = np.array([-99.0, -141.0, -93.0])
_LATTICE_SHAPE = (34, 40, 34)
_COARSE_NODES = (6, 7, 6)  # about 33 mm between nodes: shape of the head
_FINE_NODES = (16, 19, 16)  # about 13 mm: folding
_COARSE_MM = 2.0
_FINE_MM = 1.0
_VENTRICLE_REACH_MM = 14.0
_TEXTURE_STEP_MM = 4.0
_TEXTURE_SHAPE = (40, 49, 41)
_INVERSION_STEPS = 12


@dataclass(frozen=True)
class ParticipantAnatomy:
    """What stays the same between the sessions of a participant.

    head_scale : size relative to the template, per axis.
    displacement_mm : (3, x, y, z) on a lattice of participant space: template place minus
        scaled place.
    fluid_gain : how strongly the template's blurred sulci are opened (atrophy), >= 1.
    tissue_sharpness : how steeply grey turns into white, >= 1.
    brain_edge_mm : how deep below the template's surface the brain mask ends.
    cortex_texture, white_texture : noise of unit deviation every 4 mm of template space.
    """

    head_scale: Floats
    displacement_mm: NDArray[np.float32]
    fluid_gain: float
    tissue_sharpness: float
    brain_edge_mm: float
    cortex_texture: NDArray[np.float32]
    white_texture: NDArray[np.float32]

    def to_template_mm(self, places_mm: Floats) -> Floats:
        """Template places of participant places, both (3, n) in mm."""
        index = (places_mm - _LATTICE_ORIGIN_MM[:, None]) / LATTICE_STEP_MM
        moved = [sample(component, index) for component in self.displacement_mm]
        return places_mm / self.head_scale[:, None] + np.asarray(moved, dtype=np.float64)

    def from_template_mm(self, places_mm: Floats) -> Floats:
        """Participant places of template places, by fixed-point iteration; (3, n) in mm."""
        places = places_mm * self.head_scale[:, None]
        for _ in range(_INVERSION_STEPS):
            error = self.to_template_mm(places) - places_mm
            places = places - error * self.head_scale[:, None]
        return places

    def texture_index(
        self, template_mm: NDArray[np.float32], template: Template
    ) -> NDArray[np.float32]:
        """Where template places lie on the texture lattices."""
        origin = template.origin_mm.astype(np.float32)[:, None]
        return np.asarray((template_mm - origin) / np.float32(_TEXTURE_STEP_MM))


def draw_anatomy(rng: np.random.Generator, template: Template) -> ParticipantAnatomy:
    """Draw a head. Head size by 4%, folding by a few mm, ventricles from small to wide."""
    size = 1.0 + np.clip(0.03 * rng.standard_normal(), -0.05, 0.05)
    scale = np.round(size + np.clip(0.015 * rng.standard_normal(3), -0.03, 0.03), 6)
    displacement = np.stack(
        [
            _COARSE_MM * smooth_noise(rng, _LATTICE_SHAPE, nodes=_COARSE_NODES)
            + _FINE_MM * smooth_noise(rng, _LATTICE_SHAPE, nodes=_FINE_NODES)
            for _ in range(3)
        ]
    )
    displacement += _ventricle_widening(template, width_mm=float(rng.uniform(-0.5, 3.0)))
    return ParticipantAnatomy(
        head_scale=scale,
        displacement_mm=displacement.astype(np.float32),
        fluid_gain=float(rng.uniform(1.2, 3.2)),
        tissue_sharpness=float(rng.uniform(1.0, 2.2)),
        brain_edge_mm=float(rng.uniform(0.0, 3.5)),
        cortex_texture=_texture(rng),
        white_texture=_texture(rng),
    )


def _texture(rng: np.random.Generator) -> NDArray[np.float32]:
    fine = rng.standard_normal(_TEXTURE_SHAPE)
    coarse = smooth_noise(rng, _TEXTURE_SHAPE, nodes=(10, 12, 10))
    return (0.8 * fine + 0.6 * coarse).astype(np.float32)


def _ventricle_widening(template: Template, *, width_mm: float) -> Floats:
    """Pull places around the ventricles towards them: their walls move out by ``width_mm``."""
    axes = [
        origin + LATTICE_STEP_MM * np.arange(size)
        for origin, size in zip(_LATTICE_ORIGIN_MM, _LATTICE_SHAPE, strict=True)
    ]
    places = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")])
    step = template.distance_step_mm
    index = (places - template.origin_mm[:, None]) / step
    distance = sample(template.ventricle_distance_mm, index)
    # Direction away from the ventricles: the gradient of the distance, by differences.
    gradient = []
    for axis in range(3):
        shift = np.zeros((3, 1))
        shift[axis] = 2.0
        ahead = sample(template.ventricle_distance_mm, index + shift)
        behind = sample(template.ventricle_distance_mm, index - shift)
        gradient.append((ahead - behind) / (4.0 * step))
    near = np.maximum(1.0 - distance / _VENTRICLE_REACH_MM, 0.0)
    pull = -width_mm * np.asarray(gradient, dtype=np.float64) * near
    return np.asarray(pull.reshape(3, *_LATTICE_SHAPE))
