"""Random changes of one training patch: the draws; what is done with them is `patch_changes`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lesion_dynamics.segmenter.motion import ghosted, moved_while_scanned
from lesion_dynamics.segmenter.network_input import BACKGROUND_Z, BRIGHTEST_Z, MISSING_SEQUENCE_Z
from lesion_dynamics.segmenter.patch_changes import (
    BIAS_FIELD_TERMS,
    bias_field,
    control_points,
    gaussian_blur,
    rotation_and_scaling,
    sampled,
    sampling_grid,
    spline_displacement,
    thick_slices,
)
from lesion_dynamics.settings.augmentation import AugmentationSettings

_RANGE_Z = BRIGHTEST_Z - BACKGROUND_Z
_MOVEMENTS = 2
_FEWEST_GHOSTS, _MORE_GHOSTS = 2, 7
_RIGHT_LEFT_AXIS = 1  # after the channels


class PatchAugmentation:
    """Augment patches; every draw comes from the generator that the caller gives.

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

    def __call__(
        self, channels: Tensor, reference: Tensor, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Augment one patch.

        channels : (sequences, n, n, n) float32 in z units; reference : (1, n, n, n) of 0 and 1.
        Returns both, same shapes, reference float32.
        """
        draw = _Draws(generator)
        present = [_is_there(channel) for channel in channels]
        unit = channels[present].sub_(BACKGROUND_Z).div_(_RANGE_Z)  # a copy: indexed by a list
        # CSF can be at the floor of the FLAIR; outside the brain every sequence is at its floor.
        seen = unit[:1] if self._settings.darkest_flair_is_outside else unit
        inside = (seen > 0).any(0, keepdim=True)
        masks = torch.cat([reference, inside.to(torch.float32)])
        unit, masks = self._moved(unit, masks, draw)
        unit = self._contrast(unit, draw)
        unit = self._resolution_and_noise(unit, draw)
        z = self._levels(unit, draw)
        # Noise and blur reach outside the brain, where the network's input is constant.
        z = z.clamp_(BACKGROUND_Z, BRIGHTEST_Z).masked_fill_(masks[1] == 0, BACKGROUND_Z)
        result = torch.full(channels.shape, MISSING_SEQUENCE_Z)
        kept = iter(z)
        for index, name in enumerate(self._sequences):
            dropped = draw.happens(self._settings.sequence_dropout) and name in self._optional
            if present[index]:
                values = next(kept)
                if not dropped:
                    result[index] = values
        return result, masks[:1].contiguous()

    def _moved(self, unit: Tensor, masks: Tensor, draw: _Draws) -> tuple[Tensor, Tensor]:
        settings = self._settings
        if draw.happens(settings.flip):
            unit, masks = unit.flip(_RIGHT_LEFT_AXIS), masks.flip(_RIGHT_LEFT_AXIS)
        sampling = torch.eye(3, dtype=torch.float64)
        turned = draw.happens(settings.affine)
        if turned:
            degrees = draw.uniform(3) * settings.rotation_degrees
            matrix = rotation_and_scaling(degrees, 1.0 + draw.uniform(3) * settings.scaling)
            sampling = torch.linalg.inv(matrix)
        bent = self._displacement(unit.shape[-1], draw)
        if turned or bent is not None:
            grid = sampling_grid(unit.shape, sampling, displacement=bent)
            unit = sampled(unit, grid, nearest=False)
            masks = sampled(masks, grid, nearest=True)
        return unit, masks

    def _displacement(self, size: int, draw: _Draws) -> Tensor | None:
        settings = self._settings
        # Without a draw where it is off: other draws are then those of the time before it.
        if not settings.elastic or not draw.happens(settings.elastic):
            return None
        count = control_points(size, settings.elastic_spacing_voxels)
        places = draw.uniform(3 * count**3).reshape(3, count, count, count)
        return spline_displacement(
            size,
            places * settings.elastic_displacement_voxels,
            spacing=settings.elastic_spacing_voxels,
        )

    def _contrast(self, unit: Tensor, draw: _Draws) -> Tensor:
        settings = self._settings
        if draw.happens(settings.bias_field):
            for channel in unit:
                coefficients = draw.uniform(len(BIAS_FIELD_TERMS)) * settings.bias_field_coefficient
                channel *= bias_field(unit.shape[-1], coefficients)
        if draw.happens(settings.gamma):
            for channel, exponent in zip(unit, draw.uniform(len(unit)), strict=True):
                channel.pow_(float(torch.exp(exponent * settings.gamma_log)))
        return unit

    def _resolution_and_noise(self, unit: Tensor, draw: _Draws) -> Tensor:
        settings = self._settings
        unit = self._motion(unit, draw)
        if draw.happens(settings.thick_slices):
            axis, share = draw.integer(3), float(draw.share(1))
            unit = thick_slices(unit, axis=axis, factor=1.0 + share * (settings.slice_factor - 1.0))
        if draw.happens(settings.blur):
            unit = torch.cat(
                [gaussian_blur(one[None], draw.share(3) * settings.blur_std_voxels) for one in unit]
            )
        if draw.happens(settings.noise):
            deviations = draw.share(len(unit)) * (settings.noise_std / _RANGE_Z)
            unit.add_(draw.normal(unit.shape).mul_(deviations[:, None, None, None]))
        return unit

    def _motion(self, unit: Tensor, draw: _Draws) -> Tensor:
        """Every sequence is a scan of its own, in which the head moves or does not."""
        settings = self._settings
        for index in range(len(unit)):
            # Without a draw where it is off: other draws are then those of the time before it.
            if settings.motion and draw.happens(settings.motion):
                step = 1.0 / (_MOVEMENTS + 1)
                times = step * (torch.arange(1, _MOVEMENTS + 1) + 0.5 * draw.uniform(_MOVEMENTS))
                unit[index] = moved_while_scanned(
                    unit[index],
                    degrees=self._poses(draw, settings.motion_degrees),
                    voxels=self._poses(draw, settings.motion_voxels),
                    times=times.double().numpy(),
                    axis=draw.integer(3),
                )
            if settings.ghosting and draw.happens(settings.ghosting):
                unit[index] = ghosted(
                    unit[index],
                    ghosts=_FEWEST_GHOSTS + draw.integer(_MORE_GHOSTS),
                    strength=float(draw.share(1)) * settings.ghosting_strength,
                    axis=draw.integer(3),
                )
        return unit

    @staticmethod
    def _poses(draw: _Draws, most: float) -> NDArray[np.float64]:
        return (draw.uniform(3 * _MOVEMENTS) * most).double().reshape(_MOVEMENTS, 3).numpy()

    def _levels(self, unit: Tensor, draw: _Draws) -> Tensor:
        """Back to z units, with a random level and contrast of each sequence."""
        z = unit.mul_(_RANGE_Z).add_(BACKGROUND_Z)
        for channel in z:
            level, contrast = draw.uniform(2).tolist()
            if draw.happens(self._settings.intensity):
                channel.mul_(1.0 + contrast * self._settings.intensity_scaling)
                channel.add_(level * self._settings.intensity_shift)
        return z


def _is_there(channel: Tensor) -> bool:
    """Whether a sequence is there; its first plane nearly always says so."""
    return bool(
        (channel[0] != MISSING_SEQUENCE_Z).any() or (channel[1:] != MISSING_SEQUENCE_Z).any()
    )


class _Draws:
    """Random numbers of one generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def share(self, count: int) -> Tensor:
        """Between 0 and 1."""
        return torch.rand(count, generator=self._generator)

    def uniform(self, count: int) -> Tensor:
        """Between -1 and 1."""
        return 2.0 * self.share(count) - 1.0

    def happens(self, probability: float) -> bool:
        """True with this probability; draws once whatever the probability."""
        return float(self.share(1)) < probability

    def integer(self, below: int) -> int:
        """0 to ``below`` - 1."""
        return int(torch.randint(below, (1,), generator=self._generator))

    def normal(self, shape: torch.Size) -> Tensor:
        """Standard normal."""
        return torch.randn(shape, generator=self._generator)
