"""Random changes of one training patch: torchio transforms, in the units they expect."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torchio as tio
from torch import Tensor

from lesion_dynamics.segmenter.network_input import BACKGROUND_Z, BRIGHTEST_Z, MISSING_SEQUENCE_Z
from lesion_dynamics.settings.training import AugmentationSettings

_REFERENCE = "reference"
_BRAIN = "brain"
_RANGE_Z = BRIGHTEST_Z - BACKGROUND_Z
_RIGHT_LEFT_AXIS = 0


class PatchAugmentation:
    """Augment patches; every draw comes from torch's generator, which the caller seeds.

    Bias fields multiply and gamma exponentiates, so both need intensities that are positive
    with background at zero: inside, z units are mapped to [0, 1] and back.
    """

    def __init__(
        self,
        settings: AugmentationSettings,
        *,
        sequences: Sequence[str],
        optional_sequences: Sequence[str],
    ) -> None:
        self._settings = settings
        self._sequences = tuple(sequences)
        self._optional = tuple(optional_sequences)
        self._transform = _compose(settings)

    def __call__(self, channels: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Augment one patch.

        channels : (sequences, x, y, z) float32 in z units; reference : (1, x, y, z) of 0 and 1.
        Returns both, same shapes, reference float32.
        """
        present = [bool((channel != MISSING_SEQUENCE_Z).any()) for channel in channels]
        unit = (channels - BACKGROUND_Z) / _RANGE_Z
        subject = tio.Subject(
            {
                name: tio.ScalarImage(tensor=unit[index][None])
                for index, name in enumerate(self._sequences)
                if present[index]
            }
            | {
                _REFERENCE: tio.LabelMap(tensor=reference.to(torch.uint8)),
                _BRAIN: tio.LabelMap(tensor=(channels[:1] > BACKGROUND_Z).to(torch.uint8)),
            }
        )
        changed = self._transform(subject)
        brain = changed[_BRAIN].data[0] > 0
        result = torch.full_like(channels, MISSING_SEQUENCE_Z)
        for index, name in enumerate(self._sequences):
            if present[index] and not self._dropped(name):
                result[index] = self._rescaled(changed[name].data[0], brain)
        return result, changed[_REFERENCE].data.to(torch.float32)

    def _dropped(self, name: str) -> bool:
        draw = float(torch.rand(()))
        return name in self._optional and draw < self._settings.sequence_dropout

    def _rescaled(self, unit: Tensor, brain: Tensor) -> Tensor:
        """Back to z units, with a random level and contrast of this sequence."""
        z = unit * _RANGE_Z + BACKGROUND_Z
        level, contrast, chance = (2.0 * torch.rand(3) - 1.0).tolist()
        if (chance + 1.0) / 2.0 < self._settings.intensity:
            z = z * (1.0 + contrast * self._settings.intensity_scaling)
            z = z + level * self._settings.intensity_shift
        # Noise and blur reach outside the brain, where the network's input is constant.
        return torch.where(brain, z.clamp(BACKGROUND_Z, BRIGHTEST_Z), BACKGROUND_Z)


def _compose(settings: AugmentationSettings) -> tio.Compose:
    return tio.Compose(
        [
            tio.RandomFlip(axes=(_RIGHT_LEFT_AXIS,), flip_probability=settings.flip),
            tio.RandomAffine(
                scales=settings.scaling,
                degrees=settings.rotation_degrees,
                default_pad_value=0.0,
                p=settings.affine,
            ),
            tio.RandomBiasField(
                coefficients=settings.bias_field_coefficient, p=settings.bias_field
            ),
            tio.RandomGamma(log_gamma=settings.gamma_log, p=settings.gamma),
            tio.RandomAnisotropy(
                downsampling=(1.0, max(settings.slice_factor, 1.001)), p=settings.thick_slices
            ),
            tio.RandomBlur(std=(0.0, settings.blur_std_voxels), p=settings.blur),
            tio.RandomNoise(std=(0.0, settings.noise_std / _RANGE_Z), p=settings.noise),
        ]
    )
