"""Smooth random fields, blurs and slabs; every draw from a generator of one scan's own.

So one seed means one scan, whatever else the process has drawn before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lesion_dynamics.synthesis.kernels import banded, convolved, stretched, whole_field
from lesion_dynamics.synthesis.normal_numbers import fill_with_normals

_NO_BLUR = 0.15  # voxels; less changes nothing that noise does not hide
_REACH = 3.0  # a Gaussian kernel ends at so many standard deviations
_FINEST_LATTICE = 2.0  # voxels between nodes
_SEEDS = 2**63 - 1
_STAY = (0.0, 0.0, 0.0)
_INTERPOLATION_GAIN = 1.35  # linear interpolation between nodes takes variance away


@dataclass(frozen=True)
class Field:
    """A smooth field, interpolated along y and z already; the rest as it is read.

    planes : (nodes along x, y, z) float32. start : the first voxel's place along x, in nodes.
    scale : voxels between nodes. size : voxels along x.
    """

    planes: NDArray[np.float32]
    start: float
    scale: float
    size: int

    def whole(self) -> Tensor:
        """The field at every voxel, (x, y, z) float32."""
        return torch.from_numpy(whole_field(self.planes, self.start, self.scale, self.size))


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
        result = np.empty(shape, dtype=np.float32)
        fill_with_normals(result.ravel(), int(torch.randint(_SEEDS, (), generator=self._generator)))
        return torch.from_numpy(result)

    def smooth(self, shape: Sequence[int], *, width: float) -> Tensor:
        """Normal numbers blurred by ``width`` voxels, of unit deviation."""
        numbers = self.normals(*shape)
        if width < _NO_BLUR:
            return numbers
        line = _kernel(width, 0.0)
        # White noise leaves a kernel with the sum of its squares, along each axis.
        gain = float((line**2).sum() ** -0.5)
        return _convolved(numbers, [line * gain] * 3)

    def coarse_field(self, shape: Sequence[int], *, scale: float) -> Field:
        """As :meth:`field`, for a scale of at least 2, left on its lattice along x."""
        lattice = self.normals(*(math.ceil(size / scale) + 2 for size in shape))
        offsets = torch.rand(3, generator=self._generator).numpy()
        _, y, z = shape
        planes = stretched((lattice * _INTERPOLATION_GAIN).numpy(), offsets, scale, y, z)
        return Field(planes, float(offsets[0]), scale, shape[0])

    def field(self, shape: Sequence[int], *, scale: float) -> Tensor:
        """A smooth field of about unit deviation whose nodes lie ``scale`` voxels apart.

        shape : (x, y, z). The lattice is shifted at random, so nodes fall anywhere.
        """
        if scale < _FINEST_LATTICE:
            return self.smooth(shape, width=0.6 * scale)
        return self.coarse_field(shape, scale=scale).whole()


def blur(volume: Tensor, widths: Sequence[float], *, shift: Sequence[float] = _STAY) -> Tensor:
    """Gaussian blur of (x, y, z) with standard deviations in voxels, an axis each; edges repeat.

    shift : voxels that the content moves along each axis, by linear interpolation; less than two.
    """
    return _convolved(
        volume, [_kernel(width, moved) for width, moved in zip(widths, shift, strict=True)]
    )


def _convolved(volume: Tensor, lines: Sequence[NDArray[np.float64]]) -> Tensor:
    """Convolution with a line of odd length along each axis."""
    reach = max(len(line) for line in lines) // 2
    kernels = np.zeros((3, 2 * reach + 1), dtype=np.float32)
    for row, line in zip(kernels, lines, strict=True):
        half = len(line) // 2
        row[reach - half : reach + half + 1] = line
    if (kernels[:, reach] == 1).all():
        return volume
    return torch.from_numpy(convolved(volume.contiguous().numpy(), kernels))


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
    offset = phase * thickness
    count = math.ceil((size + offset) / thickness) + 1
    centres = (np.arange(count) - 0.5) * thickness - offset
    low = np.clip(centres - 0.5 * thickness + 0.5, 0, size - 1.0)
    high = np.clip(centres + 0.5 * thickness + 0.5, 1.0, size)
    place = np.clip((np.arange(size) - centres[0]) / thickness, 0, count - 1.001)
    slabs = banded(volume.contiguous().numpy(), axis, *_means(low, high, size))
    return torch.from_numpy(banded(slabs, axis, *_between(place, count)))


def _means(
    low: NDArray[np.float64], high: NDArray[np.float64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """First voxels and weights of means from ``low`` to ``high``, voxel n reaching from n on."""
    taps = min(int(np.ceil((high - low).max())) + 1, size)
    first = np.minimum(np.floor(low).astype(np.int64), size - taps)
    voxels = first[:, None] + np.arange(taps)
    overlap = np.minimum(high[:, None], voxels + 1) - np.maximum(low[:, None], voxels)
    weights = np.clip(overlap, 0, None) / np.maximum(high - low, 0.5)[:, None]
    return first, weights.astype(np.float32)


def _between(
    place: NDArray[np.float64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """First voxels and weights of linear interpolation at fractional indices."""
    first = np.clip(np.floor(place).astype(np.int64), 0, count - 2)
    share = place - first
    return first, np.stack([1 - share, share], axis=1).astype(np.float32)
