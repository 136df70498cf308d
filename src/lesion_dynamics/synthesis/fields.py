"""Smooth random fields, blurs and slabs; every draw from a generator of one scan's own.

So one seed means one scan, whatever else the process has drawn before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lesion_dynamics.synthesis.kernels import convolved, interpolated

_NO_BLUR = 0.15  # voxels; less changes nothing that noise does not hide
_REACH = 3.0  # a Gaussian kernel ends at so many standard deviations
_FINEST_LATTICE = 2.0  # voxels between nodes
_STAY = (0.0, 0.0, 0.0)
_INTERPOLATION_GAIN = 1.35  # linear interpolation between nodes takes variance away


class Draws:
    """Random numbers of one scan, all from ``seed``."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float) -> float:
        """One number between ``low`` and ``high``."""
        return low + (high - low) * float(torch.rand((), generator=self._generator))

    def normal(self) -> float:
        """One standard normal number."""
        return float(torch.randn((), generator=self._generator))

    def happens(self, probability: float) -> bool:
        """Whether an event of this probability happens."""
        return float(torch.rand((), generator=self._generator)) < probability

    def integer(self, below: int) -> int:
        """One of 0 ... below - 1."""
        return int(torch.randint(below, (), generator=self._generator))

    def permutation(self, count: int) -> Tensor:
        """0 ... count - 1 in a random order."""
        return torch.randperm(count, generator=self._generator)

    def normals(self, *shape: int) -> Tensor:
        """Independent standard normal numbers, float32."""
        return torch.randn(shape, generator=self._generator)

    def field(self, shape: Sequence[int], *, scale: float) -> Tensor:
        """A smooth field of about unit deviation whose nodes lie ``scale`` voxels apart.

        shape : (x, y, z). The lattice is shifted at random, so nodes fall anywhere.
        """
        if scale < _FINEST_LATTICE:
            smooth = blur(self.normals(*shape), [0.6 * scale] * 3)
            return smooth / smooth.std()
        x, y, z = shape
        lattice = self.normals(*(math.ceil(size / scale) + 2 for size in shape))
        offsets = torch.rand(3, generator=self._generator)
        field = interpolated(
            (lattice * _INTERPOLATION_GAIN).numpy(), offsets.numpy(), scale, (x, y, z)
        )
        return torch.from_numpy(field)


def blur(volume: Tensor, widths: Sequence[float], *, shift: Sequence[float] = _STAY) -> Tensor:
    """Gaussian blur of (x, y, z) with standard deviations in voxels, an axis each; edges repeat.

    shift : voxels that the content moves along each axis, by linear interpolation; less than two.
    """
    lines = [_kernel(width, moved) for width, moved in zip(widths, shift, strict=True)]
    reach = max(len(line) for line in lines) // 2
    kernels = np.zeros((3, 2 * reach + 1), dtype=np.float32)
    for row, line in zip(kernels, lines, strict=True):
        half = len(line) // 2
        row[reach - half : reach + half + 1] = line
    if (kernels[:, reach] == 1).all():
        return volume
    return torch.from_numpy(convolved(volume.contiguous().numpy(), kernels, reach))


def _kernel(width: float, shift: float) -> NDArray[np.float64]:
    """Weights of the offsets -n ... n, together 1."""
    weights = np.ones(1)
    if width >= _NO_BLUR:
        reach = max(1, math.ceil(_REACH * width))
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
        weights /= weights.sum()
    if abs(shift) < _NO_BLUR:
        return weights
    low = math.floor(shift)
    # Offset `low` gets what does not go to the next; a middle that is the middle of the result.
    pair = np.zeros(2 * max(abs(low), abs(low + 1)) + 1)
    centre = len(pair) // 2
    pair[centre + low], pair[centre + low + 1] = 1 - (shift - low), shift - low
    return np.convolve(weights, pair)


def thick_slices(volume: Tensor, *, axis: int, thickness: float, phase: float) -> Tensor:
    """Average over slices of ``thickness`` voxels and interpolate back between their centres.

    phase : 0 to 1, where the first slice begins. Source of the idea: Billot et al. 2023,
    doi 10.1016/j.media.2023.102789, section 2.3.
    """
    size = volume.shape[axis]
    moved = volume.movedim(axis, -1)
    offset = phase * thickness
    count = math.ceil((size + offset) / thickness) + 1
    centres = (torch.arange(count) + 0.5) * thickness - offset - thickness
    total = torch.cat([torch.zeros_like(moved[..., :1]), moved.cumsum(-1)], dim=-1)
    low = (centres - 0.5 * thickness + 0.5).clamp(0, size - 1.0)
    high = (centres + 0.5 * thickness + 0.5).clamp(1.0, size)
    mean = (_between(total, high) - _between(total, low)) / (high - low).clamp(min=0.5)
    place = ((torch.arange(size) - centres[0]) / thickness).clamp(0, count - 1.001)
    return _between(mean, place).movedim(-1, axis)


def _between(values: Tensor, place: Tensor) -> Tensor:
    """Linear interpolation along the last axis at fractional indices."""
    low = place.floor().long().clamp(0, values.shape[-1] - 2)
    weight = (place - low).to(values.dtype)
    return values[..., low] * (1 - weight) + values[..., low + 1] * weight
