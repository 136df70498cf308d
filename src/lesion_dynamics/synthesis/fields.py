"""Smooth random fields, blurs and slabs on any device.

Every draw comes from a generator on the CPU and small tensors; large ones are interpolated
from them or drawn on the device by a generator seeded from the first. So one seed means one
scan, whatever else the process has drawn before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

_NO_BLUR = 0.15  # voxels; less changes nothing that noise does not hide
_REACH = 3.0  # a Gaussian kernel ends at so many standard deviations
_INTERPOLATION_GAIN = 1.35  # linear interpolation between nodes takes variance away


class Draws:
    """Random numbers of one scan.

    seed : all draws follow from it. device : where large fields are made.
    """

    def __init__(self, seed: int, *, device: torch.device) -> None:
        self.device = device
        self._scalars = torch.Generator().manual_seed(seed)
        self._large = torch.Generator(device=device).manual_seed(seed ^ 0x5DEECE66D)

    def uniform(self, low: float, high: float) -> float:
        """One number between ``low`` and ``high``."""
        return low + (high - low) * float(torch.rand((), generator=self._scalars))

    def normal(self) -> float:
        """One standard normal number."""
        return float(torch.randn((), generator=self._scalars))

    def happens(self, probability: float) -> bool:
        """Whether an event of this probability happens."""
        return float(torch.rand((), generator=self._scalars)) < probability

    def integer(self, below: int) -> int:
        """One of 0 ... below - 1."""
        return int(torch.randint(below, (), generator=self._scalars))

    def permutation(self, count: int) -> Tensor:
        """0 ... count - 1 in a random order, on the CPU."""
        return torch.randperm(count, generator=self._scalars)

    def normals(self, *shape: int) -> Tensor:
        """Standard normal numbers on the CPU."""
        return torch.randn(shape, generator=self._scalars)

    def noise(self, shape: Sequence[int]) -> Tensor:
        """Independent standard normal numbers on the device, float32."""
        return torch.randn(tuple(shape), generator=self._large, device=self.device)

    def field(self, shape: Sequence[int], *, scale: float) -> Tensor:
        """A smooth field of about unit deviation whose nodes lie ``scale`` voxels apart.

        shape : (x, y, z). The lattice is shifted at random, so nodes fall anywhere.
        """
        if scale < 2.0:
            smooth = blur(self.noise(shape), [0.6 * scale] * 3)
            return smooth / smooth.std()
        field = torch.randn(
            [math.ceil(size / scale) + 2 for size in shape], generator=self._scalars
        ).to(self.device)
        for size in shape:
            # One axis after the other: the first is contracted, the new one goes to the end.
            weights = _linear_weights(
                size, scale=scale, offset=self.uniform(0.0, 1.0), nodes=field.shape[0]
            )
            field = torch.tensordot(field, weights.to(self.device), dims=([0], [1]))
        return field * _INTERPOLATION_GAIN


def _linear_weights(size: int, *, scale: float, offset: float, nodes: int) -> Tensor:
    """(size, nodes): what each node gives to each voxel; the first voxel lies at ``offset``."""
    place = torch.arange(size) / scale + offset
    return (1 - (place[:, None] - torch.arange(nodes)[None, :]).abs()).clamp(min=0)


def blur(volume: Tensor, widths: Sequence[float]) -> Tensor:
    """Gaussian blur of (x, y, z) with standard deviations in voxels, an axis each.

    Sums of shifted copies: on a processor several times faster than a convolution of one channel.
    """
    result = volume
    for axis, width in enumerate(widths):
        if width < _NO_BLUR:
            continue
        reach = max(1, math.ceil(_REACH * width))
        weights = [math.exp(-0.5 * (offset / width) ** 2) for offset in range(reach + 1)]
        total = weights[0] + 2 * sum(weights[1:])
        size = result.shape[axis]
        padding = [0] * 6
        padding[4 - 2 * axis] = padding[5 - 2 * axis] = reach
        padded = functional.pad(result[None, None], padding, mode="replicate")[0, 0]
        result = padded.narrow(axis, reach, size) * (weights[0] / total)
        for offset in range(1, reach + 1):
            pair = padded.narrow(axis, reach - offset, size) + padded.narrow(
                axis, reach + offset, size
            )
            result.add_(pair, alpha=weights[offset] / total)
    return result


def shifted(volume: Tensor, voxels: Sequence[float]) -> Tensor:
    """Moved by less than two voxels along each axis, by linear interpolation."""
    result = volume
    for axis, amount in enumerate(voxels):
        if abs(amount) < _NO_BLUR:
            continue
        low = math.floor(amount)
        weight = amount - low
        result = (1 - weight) * result.roll(low, axis) + weight * result.roll(low + 1, axis)
    return result


def thick_slices(volume: Tensor, *, axis: int, thickness: float, phase: float) -> Tensor:
    """Average over slices of ``thickness`` voxels and interpolate back between their centres.

    phase : 0 to 1, where the first slice begins. Source of the idea: Billot et al. 2023,
    doi 10.1016/j.media.2023.102789, section 2.3.
    """
    size = volume.shape[axis]
    moved = volume.movedim(axis, -1)
    offset = phase * thickness
    count = math.ceil((size + offset) / thickness) + 1
    centres = (torch.arange(count, device=volume.device) + 0.5) * thickness - offset - thickness
    total = torch.cat([torch.zeros_like(moved[..., :1]), moved.cumsum(-1)], dim=-1)
    low = (centres - 0.5 * thickness + 0.5).clamp(0, size - 1.0)
    high = (centres + 0.5 * thickness + 0.5).clamp(1.0, size)
    mean = (_between(total, high) - _between(total, low)) / (high - low).clamp(min=0.5)
    place = ((torch.arange(size, device=volume.device) - centres[0]) / thickness).clamp(
        0, count - 1.001
    )
    return _between(mean, place).movedim(-1, axis)


def _between(values: Tensor, place: Tensor) -> Tensor:
    """Linear interpolation along the last axis at fractional indices."""
    low = place.floor().long().clamp(0, values.shape[-1] - 2)
    weight = (place - low).to(values.dtype)
    return values[..., low] * (1 - weight) + values[..., low + 1] * weight
