"""From tissue and lesions to intensities, and from these to what the network sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lesion_dynamics.segmenter.network_input import BACKGROUND_Z, BRIGHTEST_Z
from lesion_dynamics.synthesis.fields import Draws, blur, thick_slices
from lesion_dynamics.synthesis.healthy import healthy_signal
from lesion_dynamics.synthesis.kernels import lesions_over, received
from lesion_dynamics.synthesis.look import Look, SequenceLook

Volume = NDArray[np.float32]
_DEEP_FROM_MM = 10.0  # below the brain's surface
_DIRTY_FADES_MM = 25.0
_COIL_VOXELS = 55.0
_WHITE = 2  # of the textures
_HEALTHY = (
    "white", "cortex", "nuclei", "fluid", "ventricle", "depth_mm",
    "ventricle_distance_mm", "side_mm", "limbic", "tracts", "ventricle_coat",
)  # fmt: skip


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
    textures = tuple(
        draws.field(shape, scale=scale).numpy() for scale in (1.4, 11.0, 3.0, 16.0, 3.0)
    )
    shared = _Shared(
        tissue=tuple(getattr(tissues, name).numpy() for name in _HEALTHY),
        textures=textures,
        fading=torch.exp(tissues.ventricle_distance_mm / -_DIRTY_FADES_MM).numpy(),
        deep=torch.sigmoid((tissues.depth_mm - _DEEP_FROM_MM) / 2.0).numpy(),
    )
    flair, contrast = _sequence(tissues, look.flair, shared, draws)
    t1w, _ = _sequence(tissues, look.t1w, shared, draws)
    return Rendered({"FLAIR": flair, "T1w": t1w}, lesion_contrast=contrast)


@dataclass(frozen=True)
class _Shared:
    """What both sequences show, as :func:`healthy_signal` takes it."""

    tissue: tuple[Volume, ...]
    textures: tuple[Volume, ...]
    fading: Volume
    deep: Volume


def _sequence(
    tissues: Tissues, look: SequenceLook, shared: _Shared, draws: Draws
) -> tuple[Tensor, Tensor]:
    """Intensities, and what lesions add to them before noise and bias."""
    shape = tissues.white.shape
    signal = healthy_signal(
        shared.tissue, shared.textures, shared.fading, shared.deep, _levels(look)
    )
    # Lesions: brighter by their own factor, uneven inside, fading at their edge.
    added = lesions_over(
        signal,
        blur(tissues.lesion_label, [look.edge_voxels] * 3).numpy(),
        tissues.lesion_surroundings.numpy(),
        tissues.lesion_brightness.numpy(),
        shared.textures[_WHITE],
        tissues.fluid.numpy(),
        look.halo,
        look.lesion,
        look.fluid,
    )
    # Resolution acts alike on both parts (it is linear), so lesions can be told from the rest.
    contrast, healthy = (_resolved(torch.from_numpy(part), look) for part in (added, signal))
    noise = draws.normals(*shape)
    if look.noise_blur > 0:
        noise = blur(noise, [look.noise_blur] * 3)
        noise = noise / noise.std()
    field = draws.field(shape, scale=_COIL_VOXELS)
    seen = received(
        healthy.numpy(), contrast.numpy(), field.numpy(), noise.numpy(), look.bias, look.noise
    )
    return torch.from_numpy(seen) ** look.gamma, contrast


def _levels(look: SequenceLook) -> Volume:
    """What :func:`healthy_signal` takes apart."""
    levels = (
        look.cortex, look.limbic, look.nuclei, look.fluid, look.choroid, look.residue,
        look.residue_from, look.residue_mm, look.rim, look.cap, look.septum, look.dirty,
        look.cortex_texture, look.cortex_patches, look.white_texture, look.flow, look.tracts,
    )  # fmt: skip
    return np.array(levels, dtype=np.float32)


def _resolved(signal: Tensor, look: SequenceLook) -> Tensor:
    """Moved, blurred and cut into slices as the scanner would."""
    signal = blur(signal, look.blur_voxels, shift=look.shift_voxels)
    if look.slice_voxels > 1:
        signal = thick_slices(
            signal, axis=look.slice_axis, thickness=look.slice_voxels, phase=look.slice_phase
        )
    return signal.contiguous()


def as_input(intensities: Tensor, visible: Tensor, *, centre: float, scale: float) -> Tensor:
    """Normalised, cut at the range of the network's input, background where not visible."""
    z = ((intensities - centre) / scale).clamp(BACKGROUND_Z, BRIGHTEST_Z)
    return torch.where(visible, z, BACKGROUND_Z)
