"""What a scanner is set to: contrasts, resolution, noise. Drawn for training, fixed per site.

Levels are relative to white matter = 1 in the same sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lesion_dynamics.imaging.geometry import Affine

_NO_RESIDUE = 99.0


@dataclass(frozen=True)
class SequenceContrast:
    """One sequence.

    grey, fluid, choroid, residue : levels. residue_from : white texture above which remnants of
    meninges stay on the brain's surface. rim, cap : unlabelled brightness at ventricle walls and
    around them. *_texture : deviation of tissue texture. blur_voxels : Gaussian point spread.
    slab_voxels, slab_axis : thick slices interpolated back. bias, noise : deviations;
    noise_blur : correlation of the noise in voxels. gain : overall brightness.
    """

    grey: float
    fluid: float
    choroid: float
    residue: float
    residue_from: float
    rim: float
    cap: float
    white_texture: float
    grey_texture: float
    blur_voxels: tuple[float, float, float]
    slab_voxels: int
    slab_axis: int
    bias: float
    noise: float
    noise_blur: float
    gain: float


@dataclass(frozen=True)
class Protocol:
    """Scanner settings of one scan.

    voxel_sizes_mm : grid on which it is rendered. written_slab : so many of its slices are
    averaged to one when written. lesion_contrast : FLAIR brightness of lesions over white matter.
    lesion_darkness : T1w darkness. halo : soft brightness around lesions.
    """

    scanner: str
    manufacturer: str
    field_strength_t: float
    voxel_sizes_mm: tuple[float, float, float]
    written_slab: int
    flair: SequenceContrast
    t1w: SequenceContrast
    lesion_contrast: float
    lesion_darkness: float
    halo: float


def draw_protocol(rng: np.random.Generator, *, voxel_size_mm: float) -> Protocol:
    """A scanner never seen before: every contrast drawn, some with thick slices."""
    kind = rng.choice(4, p=(0.64, 0.12, 0.12, 0.12))
    size = voxel_size_mm
    sizes, written_slab = (size, size, size), 1
    if kind == 1:  # thick slices, written as acquired: 1.0 x 1.0 x 3.0 mm on the 1.5 mm grid
        sizes, written_slab = (size / 1.5, size / 1.5, size), 2
    elif kind == 2:
        sizes = (size * 0.85, size * 0.85, size * 0.85)
    slab = int(rng.integers(2, 4)) if kind == 3 else 1
    slab_axis = int(rng.choice(3, p=(0.2, 0.2, 0.6)))
    flair = _draw_flair(rng, slab_voxels=slab, slab_axis=slab_axis)
    t1w = _draw_t1w(rng)
    return Protocol(
        scanner="phantom",
        manufacturer=str(rng.choice(["PhantomOne", "PhantomTwo", "PhantomThree"])),
        field_strength_t=float(rng.choice([1.5, 3.0])),
        voxel_sizes_mm=sizes,
        written_slab=written_slab,
        flair=flair,
        t1w=t1w,
        # Over grey matter, and never lost in the noise: what nobody can see is no label.
        lesion_contrast=max(
            0.7 * (flair.grey - 1) + float(rng.uniform(0.16, 0.46)), 3.0 * flair.noise
        ),
        lesion_darkness=float(rng.uniform(0.0, 0.32)),
        halo=float(rng.uniform(0.0, 0.35)),
    )


def _draw_flair(rng: np.random.Generator, *, slab_voxels: int, slab_axis: int) -> SequenceContrast:
    blur = float(rng.uniform(0.25, 0.75))
    noise_blur = float(rng.choice([0.0, 0.6, 0.8]))
    return SequenceContrast(
        grey=float(rng.uniform(1.04, 1.34)),
        fluid=float(rng.uniform(0.08, 0.45)),
        choroid=float(rng.uniform(0.4, 1.3)),
        residue=float(rng.uniform(0.6, 1.7)),
        residue_from=float(rng.choice([0.8, 1.4, _NO_RESIDUE])),
        rim=float(rng.choice([0.0, 1.0], p=(0.35, 0.65)) * rng.uniform(0.05, 0.35)),
        cap=float(rng.uniform(0.0, 0.12)),
        white_texture=float(rng.uniform(0.01, 0.07)),
        grey_texture=float(rng.uniform(0.03, 0.14)),
        blur_voxels=(blur, blur, blur),
        slab_voxels=slab_voxels,
        slab_axis=slab_axis,
        bias=float(rng.uniform(0.02, 0.12)),
        noise=float(rng.uniform(0.015, 0.08)) * (0.6 if noise_blur > 0 else 1.0),
        noise_blur=noise_blur,
        gain=float(rng.uniform(0.3, 2.5)),
    )


def _draw_t1w(rng: np.random.Generator) -> SequenceContrast:
    blur = float(rng.uniform(0.2, 0.6))
    return SequenceContrast(
        grey=float(rng.uniform(0.62, 0.86)),
        fluid=float(rng.uniform(0.12, 0.45)),
        choroid=float(rng.uniform(0.5, 0.8)),
        residue=float(rng.uniform(0.4, 1.2)),
        residue_from=float(rng.choice([0.8, 1.4, _NO_RESIDUE])),
        rim=0.0,
        cap=0.0,
        white_texture=float(rng.uniform(0.01, 0.04)),
        grey_texture=float(rng.uniform(0.02, 0.08)),
        blur_voxels=(blur, blur, blur),
        slab_voxels=1,
        slab_axis=2,
        bias=float(rng.uniform(0.02, 0.12)),
        noise=float(rng.uniform(0.01, 0.055)),
        noise_blur=float(rng.choice([0.0, 0.6])),
        gain=float(rng.uniform(0.3, 2.5)),
    )


_SITE_FLAIR = SequenceContrast(
    grey=1.16, fluid=0.2, choroid=0.7, residue=1.1, residue_from=1.4, rim=0.12, cap=0.05,
    white_texture=0.03, grey_texture=0.07, blur_voxels=(0.4, 0.4, 0.4), slab_voxels=1, slab_axis=2,
    bias=0.05, noise=0.04, noise_blur=0.0, gain=1.0,
)  # fmt: skip
_SITE_T1W = replace(
    _SITE_FLAIR, grey=0.74, fluid=0.25, choroid=0.6, residue=0.8, rim=0.0, cap=0.0,
    white_texture=0.02, grey_texture=0.05, noise=0.03, gain=1.3,
)  # fmt: skip

STUDY_SCANNERS = ("alpha3T", "beta3T", "gamma15T")
"""The three scanners of the study."""


def study_protocol(scanner: str, *, voxel_size_mm: float) -> Protocol:
    """The protocol of one of `STUDY_SCANNERS`."""
    base = Protocol(
        scanner=scanner, manufacturer="PhantomOne", field_strength_t=3.0,
        voxel_sizes_mm=(voxel_size_mm,) * 3, written_slab=1, flair=_SITE_FLAIR, t1w=_SITE_T1W,
        lesion_contrast=0.42, lesion_darkness=0.15, halo=0.12,
    )  # fmt: skip
    if scanner == "beta3T":
        flair = replace(_SITE_FLAIR, grey=1.24, fluid=0.12, noise=0.055, bias=0.08, gain=0.6)
        t1w = replace(_SITE_T1W, grey=0.68, noise=0.04, gain=0.8)
        return replace(base, manufacturer="PhantomTwo", flair=flair, t1w=t1w, lesion_contrast=0.46)
    if scanner == "gamma15T":
        flair = replace(
            _SITE_FLAIR, grey=1.1, fluid=0.28, noise=0.06, gain=1.8, blur_voxels=(0.45, 0.45, 0.6)
        )
        t1w = replace(_SITE_T1W, grey=0.8, fluid=0.35, noise=0.045, gain=2.0)
        return replace(
            base, manufacturer="PhantomThree", field_strength_t=1.5, flair=flair, t1w=t1w,
            lesion_contrast=0.38,
        )  # fmt: skip
    return base


def draw_position(rng: np.random.Generator, *, degrees: float, millimetres: float) -> Affine:
    """Participant from scanner space: a small rotation about three axes and a shift."""
    # Small angles: sine and cosine by their series, the same on every processor.
    matrix = np.eye(3)
    for axis in range(3):
        angle = float(rng.uniform(-degrees, degrees)) * 0.017453292519943295
        sine = angle - angle**3 / 6 + angle**5 / 120
        cosine = float(np.sqrt(1 - sine * sine))
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = cosine
        turn[first, second], turn[second, first] = -sine, sine
        matrix = (matrix[:, :, None] * turn[None, :, :]).sum(axis=1)
    position = np.eye(4)
    position[:3, :3] = matrix
    position[:3, 3] = rng.uniform(-millimetres, millimetres, size=3)
    return position
