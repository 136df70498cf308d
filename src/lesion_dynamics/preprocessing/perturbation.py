"""The same head scanned a little differently: perturbed copies of a prepared scan.

They act on the images that a segmenter is given, with the brain mask and the transforms that were
found for the scan; what is not found again is not part of the repeatability that they show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.bias_field import find_bias_field, without_bias_field
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan, PreparedSequence
from lesion_dynamics.preprocessing.resampling import Interpolation, resample
from lesion_dynamics.preprocessing.transform import Warp, resample_through
from lesion_dynamics.settings.preprocessing import BiasFieldSettings

_MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
_INSIDE = 0.5  # share of a voxel that is brain where a mask says so


def mirrored(scan: PreparedScan) -> PreparedScan:
    """Left and right exchanged: the world is mirrored, no voxel is interpolated."""
    sequences = {
        name: replace(
            own,
            image=_image_mirrored(own.image),
            to_flair=_MIRROR @ own.to_flair @ _MIRROR,
            log_bias_field=None
            if own.log_bias_field is None
            else _image_mirrored(own.log_bias_field),
            gradient_warp=None if own.gradient_warp is None else _warp_mirrored(own.gradient_warp),
        )
        for name, own in scan.sequences.items()
    }
    return replace(
        scan,
        sequences=sequences,
        brain_mask=_image_mirrored(scan.brain_mask),
        to_participant=_MIRROR @ scan.to_participant @ _MIRROR,
    )


def _image_mirrored(image: Image) -> Image:
    return Image(voxels=image.voxels, affine=_MIRROR @ image.affine)


def _warp_mirrored(warp: Warp) -> Warp:
    displacement = warp.displacement_mm * np.array([-1, 1, 1], dtype=np.float32)
    return Warp(displacement, _MIRROR @ warp.affine)


def shifted(scan: PreparedScan, *, voxels: float) -> PreparedScan:
    """Sampled at places between the voxels: the grid moves, the head stays.

    voxels : along all three axes, of each sequence's own grid. Cubic interpolation; what it blurs
    is part of what is measured.
    """

    def moved(affine: Affine) -> Affine:
        shift = np.eye(4)
        shift[:3, 3] = voxels
        return np.asarray(affine @ shift, dtype=np.float64)

    def sampled(image: Image, interpolation: Interpolation) -> Image:
        return resample(
            image,
            shape=image.shape,
            affine=moved(image.affine),
            image_from_target=np.eye(4),
            interpolation=interpolation,
        )

    share = sampled(_as_share(scan.brain_mask), "linear")
    return replace(
        scan,
        sequences=_with_images(scan, lambda image: sampled(image, "cubic")),
        brain_mask=share.with_voxels((share.voxels >= _INSIDE).astype(np.uint8)),
    )


def noisier(
    scan: PreparedScan, *, standard_deviations: dict[str, float], rng: np.random.Generator
) -> PreparedScan:
    """With more noise, as a magnitude image has it (Rician; Gudbjartsson and Patz 1995,
    doi 10.1002/mrm.1910340618).

    standard_deviations : of the added noise by sequence, in units of its image.
    """
    images = {}
    for name, own in scan.sequences.items():
        real, imaginary = rng.standard_normal((2, *own.image.shape), dtype=np.float32)
        deviation = np.float32(standard_deviations[name])
        noisy = np.hypot(own.image.voxels + deviation * real, deviation * imaginary)
        # Where nothing was measured there is no noise either.
        voxels = np.where(own.image.voxels != 0, noisy, 0.0).astype(np.float32)
        images[name] = replace(own, image=own.image.with_voxels(voxels))
    return replace(scan, sequences=images)


def with_field(
    scan: PreparedScan,
    *,
    percent: float,
    nodes: int,
    rng: np.random.Generator,
    correction: BiasFieldSettings,
) -> PreparedScan:
    """Every sequence times a smooth field of its own, ``1 +- percent / 100``, and corrected again.

    nodes : of the uniform noise along each axis that a cubic spline goes through.
    correction : of sequences from which a field was divided out before; the others keep the field.
    """

    def biased(image: Image) -> Image:
        field = _smooth(rng, image.shape, nodes)
        factor = np.float32(1) + np.float32(percent / 100.0) * field
        return image.with_voxels((image.voxels * factor).astype(np.float32))

    changed = replace(scan, sequences=_with_images(scan, biased))
    sequences = {
        name: own if own.log_bias_field is None else _corrected(own, changed, correction)
        for name, own in changed.sequences.items()
    }
    return replace(changed, sequences=sequences)


def brain_on(own: PreparedSequence, scan: PreparedScan) -> Image:
    """The scan's brain mask on the grid of one of its sequences."""
    return resample_through(
        scan.brain_mask,
        shape=own.image.shape,
        affine=own.image.affine,
        steps=(*own.steps_to_true, own.to_flair, *scan.flair.steps_from_true),
        interpolation="nearest",
    )


def _corrected(
    own: PreparedSequence, scan: PreparedScan, settings: BiasFieldSettings
) -> PreparedSequence:
    brain = brain_on(own, scan)
    log_field = find_bias_field(own.image, brain, settings=settings)
    return replace(own, image=without_bias_field(own.image, log_field), log_bias_field=log_field)


def _smooth(
    rng: np.random.Generator, shape: tuple[int, int, int], nodes: int
) -> NDArray[np.float32]:
    """Smooth values with the largest magnitude 1."""
    coarse = rng.uniform(-1.0, 1.0, size=(nodes,) * 3)
    zoom = [size / nodes for size in shape]
    fine = ndimage.zoom(coarse, zoom, order=3, mode="nearest", grid_mode=True)
    return np.asarray(fine / np.abs(fine).max(), dtype=np.float32)


def thicker(scan: PreparedScan, *, slices: int) -> PreparedScan:
    """``slices`` slices averaged to one, along the axis with the largest voxel edge (the last of
    equal ones); the mask that comes out lies on these slices.
    """
    share = _slices_averaged(_as_share(scan.brain_mask), slices)
    return replace(
        scan,
        sequences=_with_images(scan, lambda image: _slices_averaged(image, slices)),
        brain_mask=share.with_voxels((share.voxels >= _INSIDE).astype(np.uint8)),
    )


def _slices_averaged(image: Image, slices: int) -> Image:
    axis = max(range(3), key=lambda index: (round(image.voxel_sizes_mm[index], 3), index))
    voxels = np.moveaxis(image.voxels, axis, 0).astype(np.float32)
    missing = -voxels.shape[0] % slices
    voxels = np.concatenate([voxels, np.repeat(voxels[-1:], missing, axis=0)])
    averaged = voxels.reshape(-1, slices, *voxels.shape[1:]).mean(axis=1)
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3, 3] += affine[:3, axis] * (slices - 1) / 2
    affine[:3, axis] *= slices
    return Image(voxels=np.ascontiguousarray(np.moveaxis(averaged, 0, axis)), affine=affine)


def _as_share(mask: Image) -> Image:
    return mask.with_voxels(mask.voxels.astype(np.float32))


def _with_images(
    scan: PreparedScan, change: Callable[[Image], Image]
) -> dict[str, PreparedSequence]:
    return {name: replace(own, image=change(own.image)) for name, own in scan.sequences.items()}
