"""From tissue and lesions to the two sequences that a scanner would give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lesion_dynamics.phantom.lesion_shapes import LesionField
from lesion_dynamics.phantom.protocol import Protocol, SequenceContrast
from lesion_dynamics.phantom.scan_grid import Flat, Tissue
from lesion_dynamics.phantom.smooth_fields import smooth_noise, upsample_linear

_BIAS_STEP = 4
_WHITE_LEVEL = 400.0  # int16 intensity of white matter at gain 1
_SKEW_FROM = 1.0  # texture above this is brightened further: specks in the cortex
_CHOROID_FROM = 1.3
_CHOROID_DEPTH_MM = 30.0
_RESIDUE_MM = 2.0


@dataclass(frozen=True)
class LesionLook:
    """Contrast of each lesion, relative to white matter (n,).

    flair, t1w : added to, and taken from, the white-matter level at full fraction.
    edge_mm : over how many mm a lesion fades; halo : brightness just outside, 0 to 1.
    """

    flair: NDArray[np.float32]
    t1w: NDArray[np.float32]
    edge_mm: NDArray[np.float32]
    halo: float


def acquire(
    tissue: Tissue, lesions: LesionField, look: LesionLook, protocol: Protocol,
    rng: np.random.Generator,
) -> dict[str, NDArray[np.float32]]:  # fmt: skip
    """FLAIR and T1w on the tissue's grid, 0 outside the brain, before any slab averaging."""
    visible = _visible_fraction(lesions, look)
    owner = np.where(lesions.owner < 0, len(look.flair), lesions.owner)
    uneven = 1 + np.float32(0.25) * tissue.white_texture
    brightness = np.append(look.flair, np.float32(0))[owner] * np.clip(uneven, 0.4, 1.6)
    darkness = np.append(look.t1w, np.float32(0))[owner]
    images = {}
    for name, contrast, lesion in (
        ("FLAIR", protocol.flair, 1 + brightness),
        ("T1w", protocol.t1w, 1 - darkness),
    ):
        healthy = _healthy(tissue, contrast)
        ill = lesion * (1 - tissue.fluid) + np.float32(contrast.fluid) * tissue.fluid
        signal = healthy + visible * (ill - healthy)
        images[name] = _measured(tissue, signal.astype(np.float32), contrast, rng)
    return images


def _visible_fraction(lesions: LesionField, look: LesionLook) -> Flat:
    owner = np.where(lesions.owner < 0, len(look.edge_mm), lesions.owner)
    edge = np.append(look.edge_mm, np.float32(1))[owner]
    core = np.clip(np.float32(0.5) + lesions.depth_mm / edge, 0, 1)
    # The halo falls to nothing over one and a half edge widths.
    halo = look.halo * np.clip(1 + lesions.depth_mm / (np.float32(1.5) * edge), 0, 1)
    near = lesions.depth_mm > -8
    return np.asarray(np.where(near, np.maximum(core, halo), 0), dtype=np.float32)


def _healthy(tissue: Tissue, contrast: SequenceContrast) -> Flat:
    cortex = tissue.cortex_texture
    skewed = cortex + np.maximum(cortex - np.float32(_SKEW_FROM), 0)
    white = 1 + np.float32(contrast.white_texture) * tissue.white_texture
    # Faint periventricular brightness that is no lesion: caps and normal ageing.
    white = white + np.float32(contrast.cap) / (1 + (tissue.ventricle_distance_mm / 4) ** 2)
    # The deep nuclei are more even than the cortex.
    uneven = contrast.grey_texture * np.clip(tissue.ventricle_distance_mm / 15, 0.25, 1)
    grey = np.float32(contrast.grey) * (1 + uneven * skewed)
    fluid = np.full(cortex.shape, np.float32(contrast.fluid))
    deep = tissue.depth_mm > _CHOROID_DEPTH_MM
    plexus = (tissue.ventricle > 0.8) & (cortex > _CHOROID_FROM) & deep
    fluid[plexus] = contrast.choroid
    residue = (tissue.depth_mm < _RESIDUE_MM) & (tissue.white_texture > contrast.residue_from)
    fluid[residue] = contrast.residue
    signal = tissue.white * white + tissue.grey * grey + tissue.fluid * fluid
    if contrast.rim > 0:
        signal = signal + np.float32(contrast.rim) * _ventricle_rim(tissue)
    return np.asarray(signal, dtype=np.float32)


def _ventricle_rim(tissue: Tissue) -> Flat:
    """0 to 1 on the last voxel of tissue before a ventricle: thin, never labelled."""
    ventricle = tissue.volume_of(tissue.ventricle)
    spread = ndimage.uniform_filter(ventricle, size=3, output=np.float32)
    beside = np.clip(np.float32(3) * spread.reshape(-1)[tissue.place], 0, 1)
    return np.asarray(beside * (1 - tissue.fluid), dtype=np.float32)


def _measured(
    tissue: Tissue, signal: Flat, contrast: SequenceContrast, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Point spread, bias field, Rician noise, mask."""
    volume = tissue.volume_of(signal)
    volume = ndimage.gaussian_filter(volume, contrast.blur_voxels, truncate=3.0)
    if contrast.slab_voxels > 1:
        volume = _slabs_and_back(volume, contrast.slab_axis, contrast.slab_voxels)
    values = volume.reshape(-1)[tissue.place] * _bias(tissue, contrast, rng)
    noise = rng.standard_normal((2, len(tissue.place)), dtype=np.float64)
    if contrast.noise_blur > 0:
        noise = np.stack([_smoothed(tissue, part, contrast.noise_blur) for part in noise])
    real = values + contrast.noise * noise[0]
    imaginary = contrast.noise * noise[1]
    values = np.sqrt(real * real + imaginary * imaginary) * (_WHITE_LEVEL * contrast.gain)
    values = np.where(tissue.brain, np.maximum(values, 1.0), 0.0)
    return tissue.volume_of(values.astype(np.float32))


def _bias(
    tissue: Tissue, contrast: SequenceContrast, rng: np.random.Generator
) -> NDArray[np.float64]:
    x, y, z = ((size + _BIAS_STEP - 2) // _BIAS_STEP + 1 for size in tissue.shape)
    coarse = smooth_noise(rng, (x, y, z), nodes=(4, 4, 4))
    field = upsample_linear(coarse, step=_BIAS_STEP, shape=tissue.shape)
    return np.asarray(np.clip(1 + contrast.bias * field.ravel()[tissue.place], 0.4, 1.8))


def _smoothed(tissue: Tissue, noise: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Noise of interpolated images: correlated between neighbours, same deviation."""
    volume = np.zeros(tissue.shape)
    volume.reshape(-1)[tissue.place] = noise
    smooth = ndimage.gaussian_filter(volume, width, truncate=3.0).reshape(-1)[tissue.place]
    # A Gaussian of width s keeps (2 sqrt(pi) s)^-3 of the variance of white noise (s > 0.5).
    kept = (2 * np.sqrt(np.pi) * width) ** -1.5
    return np.asarray(smooth / min(kept, 1.0))


def _slabs_and_back(volume: NDArray[np.float32], axis: int, count: int) -> NDArray[np.float32]:
    """Average ``count`` slices to one and interpolate back: thick slices on a fine grid."""
    thick = slab_means(np.moveaxis(volume, axis, 2), count)
    position = (np.arange(volume.shape[axis]) + 0.5) / count - 0.5
    position = np.clip(position, 0, thick.shape[2] - 1)
    low = np.minimum(position.astype(int), max(thick.shape[2] - 2, 0))
    high = np.minimum(low + 1, thick.shape[2] - 1)
    weight = (position - low).astype(np.float32)
    fine = thick[:, :, low] * (1 - weight) + thick[:, :, high] * weight
    return np.ascontiguousarray(np.moveaxis(fine, 2, axis))


def slab_means(volume: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Mean of every ``count`` slices along z; the last slab repeats the last slice."""
    missing = -volume.shape[2] % count
    if missing:
        volume = np.concatenate([volume, np.repeat(volume[:, :, -1:], missing, axis=2)], axis=2)
    total = volume[:, :, 0::count].astype(np.float32)
    for offset in range(1, count):
        total = total + volume[:, :, offset::count]
    return np.asarray(total / np.float32(count))
