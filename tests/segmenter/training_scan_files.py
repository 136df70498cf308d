"""Prepared training scans made by hand, so that what a patch must hold is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lesion_dynamics.segmenter.training_scans import TrainingScan, lesion_by_lesion
from lesion_dynamics.settings.augmentation import AugmentationSettings
from lesion_dynamics.settings.training import PatchSettings

NO_AUGMENTATION = AugmentationSettings(
    flip=0, affine=0, rotation_degrees=0, scaling=0, bias_field=0, bias_field_coefficient=0,
    gamma=0, gamma_log=0, intensity=0, intensity_scaling=0, intensity_shift=0, noise=0,
    noise_std=0, blur=0, blur_std_voxels=0, thick_slices=0, slice_factor=1, sequence_dropout=0,
)  # fmt: skip

PATCH = PatchSettings(size_voxels=16, lesion_fraction=1.0, batch=2)


def write_scan(folder: Path, number: int, *, lesion: bool, speck: bool = False) -> TrainingScan:
    """24 x 28 x 20 voxels; FLAIR holds its own voxel number, T1w minus half of that.

    lesion : of 12 voxels. speck : a further lesion of one voxel, in the far corner.
    """
    folder = folder / f"scan{number}"
    folder.mkdir()
    shape = (24, 28, 20)
    ramp = np.linspace(-3, 5, int(np.prod(shape))).reshape(shape)
    reference = np.zeros(shape, dtype=np.uint8)
    if lesion:
        reference[10:12, 12:15, 9:11] = 1
    if speck:
        reference[2, 2, 2] = 1
    np.save(folder / "channels.npy", np.stack([ramp, -ramp / 2]).astype(np.float16))
    np.save(folder / "reference.npy", reference)
    voxels, sizes = lesion_by_lesion(reference)
    np.save(folder / "lesion_voxels.npy", voxels)
    np.save(folder / "lesion_sizes.npy", sizes)
    np.save(folder / "lookalike_voxels.npy", np.array([[4, 20, 5]], dtype=np.int16))
    np.save(folder / "brain_voxels.npy", np.argwhere(np.ones(shape)).astype(np.int16))
    return TrainingScan(f"sub-{number:02d}", "ses-01", folder)
