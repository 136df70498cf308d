"""What a user would write instead: torchio's SubjectsDataset and Queue, MONAI's loss, one loop.

The transforms and their probabilities are those of the training's augmentation, in torchio's own
words; it has none for a sequence's level and contrast, nor for a missing sequence. As in torchio's
documentation, whole volumes are loaded and transformed, and patches are then cut from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torchio as tio
from labelled_scans import SHAPE, scan_of
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from torch import Tensor, nn

from lesion_dynamics.settings.augmentation import AugmentationSettings
from lesion_dynamics.settings.networks import UNetSettings
from lesion_dynamics.settings.training import TrainSettings

_BRIGHTEST_Z, _BACKGROUND_Z = 8.0, -4.0
_RANGE_Z = _BRIGHTEST_Z - _BACKGROUND_Z


def transforms(settings: AugmentationSettings) -> tio.Compose:
    """The augmentation in torchio's own transforms, on volumes in [0, 1]."""
    spacing = settings.elastic_spacing_voxels
    return tio.Compose(
        [
            tio.RandomFlip(axes=(0,), flip_probability=settings.flip),
            tio.RandomAffine(
                scales=settings.scaling, degrees=settings.rotation_degrees,
                default_pad_value=0.0, p=settings.affine,
            ),
            tio.RandomElasticDeformation(
                num_control_points=tuple(round(size / spacing) + 1 for size in SHAPE),
                max_displacement=settings.elastic_displacement_voxels, p=settings.elastic,
            ),
            tio.RandomBiasField(
                coefficients=settings.bias_field_coefficient, p=settings.bias_field
            ),
            tio.RandomGamma(log_gamma=settings.gamma_log, p=settings.gamma),
            tio.RandomMotion(
                degrees=settings.motion_degrees, translation=settings.motion_voxels,
                num_transforms=2, p=settings.motion,
            ),
            tio.RandomGhosting(
                num_ghosts=(2, 8), intensity=(0.0, settings.ghosting_strength),
                p=settings.ghosting,
            ),
            tio.RandomAnisotropy(
                downsampling=(1.0, settings.slice_factor), p=settings.thick_slices
            ),
            tio.RandomBlur(std=(0.0, settings.blur_std_voxels), p=settings.blur),
            tio.RandomNoise(std=(0.0, settings.noise_std / _RANGE_Z), p=settings.noise),
        ]
    )  # fmt: skip


def batches(
    folder: Path,
    settings: AugmentationSettings,
    *,
    scans: int,
    patch: int,
    batch: int,
    samples: int,
    workers: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of channels and reference without end.

    samples : patches cut from one augmented volume before the next is loaded.
    """
    subjects = []
    for number in range(scans):
        scan = scan_of(folder, number)
        images = {name: tio.ScalarImage(path) for name, path in scan.images.items()}
        subjects.append(tio.Subject(**images, reference=tio.LabelMap(scan.reference_mask)))
    dataset = tio.SubjectsDataset(subjects, transform=transforms(settings))
    sampler = tio.LabelSampler(patch, label_name="reference", label_probabilities={0: 0.4, 1: 0.6})
    queue = tio.Queue(
        dataset, max_length=2 * samples, samples_per_volume=samples, sampler=sampler,
        num_workers=workers,
    )  # fmt: skip
    while True:
        for found in tio.SubjectsLoader(queue, batch_size=batch, num_workers=0):
            channels = torch.cat([found["FLAIR"]["data"], found["T1w"]["data"]], dim=1)
            yield channels.float() * _RANGE_Z + _BACKGROUND_Z, found["reference"]["data"].float()


def plain_network(settings: TrainSettings) -> nn.Module:
    """MONAI's UNet of the same size, and the 1 x 1 x 1 convolution that makes the logit."""
    given = settings.segmenter.network
    assert isinstance(given, UNetSettings)
    channels = len(settings.segmenter.sequences)
    backbone = UNet(
        3, channels, given.head_channels, given.channels, given.strides,
        num_res_units=given.residual_units,
    )  # fmt: skip
    return nn.Sequential(backbone, nn.LeakyReLU(), nn.Conv3d(given.head_channels, 1, 1))


def plain_step(settings: TrainSettings) -> Callable[[Tensor, Tensor], None]:
    """One training step in float32, as in the tutorials of both."""
    network = plain_network(settings)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    loss_of = DiceCELoss(sigmoid=True, batch=True)

    def step(channels: Tensor, reference: Tensor) -> None:
        optimiser.zero_grad()
        loss_of(network(channels), reference).backward()
        optimiser.step()

    return step
