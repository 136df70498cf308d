"""What a user would write instead: torchio's SubjectsDataset and Queue, MONAI's loss, one loop.

The transforms and their probabilities are those of conf/augmentation/default.yaml.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torchio as tio
from torch import Tensor

from lesion_dynamics.segmenter.network_input import BACKGROUND_Z, BRIGHTEST_Z
from lesion_dynamics.settings.training import AugmentationSettings

_RANGE_Z = BRIGHTEST_Z - BACKGROUND_Z


def transforms(settings: AugmentationSettings) -> tio.Compose:
    """The default augmentation in torchio's own transforms, on volumes in [0, 1]."""
    return tio.Compose(
        [
            tio.RandomFlip(axes=(0,), flip_probability=settings.flip),
            tio.RandomAffine(
                scales=settings.scaling, degrees=settings.rotation_degrees,
                default_pad_value=0.0, p=settings.affine,
            ),
            tio.RandomBiasField(
                coefficients=settings.bias_field_coefficient, p=settings.bias_field
            ),
            tio.RandomGamma(log_gamma=settings.gamma_log, p=settings.gamma),
            tio.RandomAnisotropy(
                downsampling=(1.0, settings.slice_factor), p=settings.thick_slices
            ),
            tio.RandomBlur(std=(0.0, settings.blur_std_voxels), p=settings.blur),
            tio.RandomNoise(std=(0.0, settings.noise_std / _RANGE_Z), p=settings.noise),
        ]
    )  # fmt: skip


def loader(
    folders: list[Path], settings: AugmentationSettings, *, patch: int, batch: int, samples: int
) -> torch.utils.data.DataLoader[dict[str, Tensor]]:
    """Batches of {"FLAIR": ..., "T1w": ..., "reference": ...}, read from .nii.gz by one process.

    samples : patches cut from one augmented volume before the next is loaded.
    """
    subjects = [
        tio.Subject(
            FLAIR=tio.ScalarImage(folder / "FLAIR.nii.gz"),
            T1w=tio.ScalarImage(folder / "T1w.nii.gz"),
            reference=tio.LabelMap(folder / "reference.nii.gz"),
        )
        for folder in folders
    ]
    dataset = tio.SubjectsDataset(subjects, transform=transforms(settings))
    sampler = tio.LabelSampler(patch, label_name="reference", label_probabilities={0: 0.4, 1: 0.6})
    queue = tio.Queue(
        dataset, max_length=4 * samples, samples_per_volume=samples,
        sampler=sampler, num_workers=1,
    )  # fmt: skip
    return tio.SubjectsLoader(queue, batch_size=batch, num_workers=0)
