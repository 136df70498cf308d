"""From tissue and lesions to intensities, and from these to what the network sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lesion_dynamics.segmenter.network_input import BACKGROUND_Z, BRIGHTEST_Z
from lesion_dynamics.synthesis.fields import Draws, blur, shifted, thick_slices
from lesion_dynamics.synthesis.look import Look, SequenceLook

_DEEP_FROM_MM = 10.0  # below the brain's surface
_DEEP_SHARE = 0.5  # of the limbic lobe's brightness
_LIMBIC_WHITE = 0.4  # of it in the lobe's white matter: fornix, fimbria, cingulum


@dataclass(frozen=True)
class Tissues:
    """What is needed to render a region; all (x, y, z) float32, lesion_label 0 or 1.

    White, cortex, nuclei and fluid sum to 1 in the brain. ventricle is a part of fluid; limbic and
    tracts, 0 to 1, are places that are bright on FLAIR in health;
    ventricle_coat and lesion_surroundings are ventricle and lesion_label blurred by 0.8 and 2.5 mm.
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
    lesion_label: Tensor
    lesion_brightness: Tensor
    lesion_surroundings: Tensor
    ventricle_coat: Tensor


@dataclass(frozen=True)
class Rendered:
    """images : FLAIR and T1w intensities, (x, y, z), not normalised and not masked.

    lesion_contrast : what the lesions add to FLAIR before noise and bias, after blur and slices.
    """

    images: dict[str, Tensor]
    lesion_contrast: Tensor


def render(tissues: Tissues, look: Look, draws: Draws) -> Rendered:
    """Render a region."""
    shape = tissues.white.shape
    shared = _Shared(
        fine=draws.field(shape, scale=1.4),
        patches=draws.field(shape, scale=11.0),
        white=draws.field(shape, scale=3.0),
        dirty=draws.field(shape, scale=16.0).clamp(min=0),
        spots=draws.field(shape, scale=3.0),
    )
    flair, contrast = _sequence(tissues, look.flair, shared, draws)
    t1w, _ = _sequence(tissues, look.t1w, shared, draws)
    return Rendered({"FLAIR": flair, "T1w": t1w}, lesion_contrast=contrast)


@dataclass(frozen=True)
class _Shared:
    """Fields that both sequences show."""

    fine: Tensor
    patches: Tensor
    white: Tensor
    dirty: Tensor
    spots: Tensor


def _sequence(
    tissues: Tissues, look: SequenceLook, shared: _Shared, draws: Draws
) -> tuple[Tensor, Tensor]:
    """Intensities, and what lesions add to them before noise and bias."""
    shape = tissues.white.shape
    signal = _without_lesions(tissues, look, shared)
    # Lesions: brighter by their own factor, uneven inside, fading at their edge.
    core = blur(tissues.lesion_label, [look.edge_voxels] * 3)
    if look.halo > 0:
        core = torch.maximum(core, look.halo * (2 * tissues.lesion_surroundings).clamp(max=1.0))
    ill = 1 + look.lesion * tissues.lesion_brightness * (1 + 0.12 * shared.white)
    ill = ill * (1 - tissues.fluid) + look.fluid * tissues.fluid
    # Resolution acts alike on both parts (it is linear), so lesions can be told from the rest.
    added = _resolved(core * (ill - signal), look)
    signal = _resolved(signal, look) + added
    signal = signal * (1 + look.bias * draws.field(shape, scale=55.0)).clamp(0.4, 1.8)
    noise = draws.noise(shape)
    if look.noise_blur > 0:
        noise = blur(noise, [look.noise_blur] * 3)
        noise = noise / noise.std()
    return (signal + look.noise * noise).clamp(min=0.0) ** look.gamma, added


def _without_lesions(tissues: Tissues, look: SequenceLook, shared: _Shared) -> Tensor:
    near = tissues.ventricle_distance_mm
    white = (
        1 + look.white_texture * shared.white + look.dirty * shared.dirty * torch.exp(-near / 25)
    )
    white = white + look.cap / (1 + (near / 3.5) ** 2)
    if look.tracts > 0:
        white = white + look.tracts * tissues.tracts
    # Cortex that lies deep is brighter as well, though less than the limbic lobe.
    deep = torch.sigmoid((tissues.depth_mm - _DEEP_FROM_MM) / 2.0)
    limbic = look.limbic * torch.maximum(_DEEP_SHARE * deep, tissues.limbic)
    white = white + _LIMBIC_WHITE * look.limbic * tissues.limbic
    cortex = (look.cortex + limbic) * (
        1 + look.cortex_texture * shared.fine + look.cortex_patches * shared.patches
    )
    nuclei = look.nuclei * (1 + 0.5 * look.white_texture * shared.white)
    # Amygdala, hippocampus and cingulate gyrus lie as deep as the nuclei, but are cortex.
    nuclei = torch.lerp(nuclei, cortex, tissues.limbic)
    fluid = torch.full_like(white, look.fluid)
    if look.flow > 0:
        fluid = fluid + look.flow * (shared.spots - 1.2).clamp(0, 1)
    plexus = (tissues.ventricle > 0.7) & (shared.spots > 1.0)
    fluid = torch.where(plexus, look.choroid, fluid)
    residue = (tissues.depth_mm < look.residue_mm) & (shared.spots > look.residue_from)
    fluid = torch.where(residue, look.residue, fluid)
    signal = (
        tissues.white * white
        + tissues.cortex * cortex
        + tissues.nuclei * nuclei
        + tissues.fluid * fluid
    )
    if look.rim > 0:
        coat = tissues.ventricle_coat * (1 - tissues.fluid)
        signal = signal + look.rim * (2.5 * coat).clamp(0, 1) * (0.7 + 0.3 * shared.patches).clamp(
            0, 1.3
        )
    if look.septum > 0:
        midline = ((2.5 - tissues.side_mm) / 1.5).clamp(0, 1) * ((5.0 - near) / 2).clamp(0, 1)
        signal = signal + look.septum * midline * (1 - tissues.fluid)
    return signal


def _resolved(signal: Tensor, look: SequenceLook) -> Tensor:
    """Moved, blurred and cut into slices as the scanner would."""
    signal = blur(shifted(signal, look.shift_voxels), look.blur_voxels)
    if look.slice_voxels > 1:
        signal = thick_slices(
            signal, axis=look.slice_axis, thickness=look.slice_voxels, phase=look.slice_phase
        )
    return signal


def as_input(intensities: Tensor, visible: Tensor, *, centre: float, scale: float) -> Tensor:
    """Normalised, cut at the range of the network's input, background where not visible."""
    z = ((intensities - centre) / scale).clamp(BACKGROUND_Z, BRIGHTEST_Z)
    return torch.where(visible, z, BACKGROUND_Z)
