"""Where the windows of a box lie, and how much each of their voxels counts. Arrays only."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.settings.segmenter import WindowSettings

Shape = tuple[int, int, int]
Box = tuple[slice, slice, slice]

_SIGMA_OF_WINDOW = 0.125  # as MONAI and nnU-Net have it
_SMALLEST_WEIGHT = 1e-3


@dataclass(frozen=True, slots=True)
class Tiling:
    """Windows over a box.

    shape : of the box, padded so that a window fits. window : edges of every window.
    starts : first corner of each window that is computed.
    """

    shape: Shape
    window: Shape
    starts: tuple[Shape, ...]

    @property
    def in_one_pass(self) -> bool:
        """Whether one window is the whole box, so that nothing is blended."""
        return self.window == self.shape

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The computed windows as slices of the padded box."""
        return tuple(box_at(start, self.window) for start in self.starts)

    def weights(self) -> NDArray[np.float32]:
        """Gaussian weight of each voxel of a window, (x, y, z), 0.001 to 1."""
        weights = np.ones((1, 1, 1), dtype=np.float32)
        for axis, size in enumerate(self.window):
            places = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
            curve = np.exp(-0.5 * (places / np.float32(_SIGMA_OF_WINDOW * size)) ** 2)
            weights = weights * curve.reshape([-1 if k == axis else 1 for k in range(3)])
        return np.maximum(weights, np.float32(_SMALLEST_WEIGHT))


def tiling_of(
    shape: Shape, *, window: WindowSettings, divisor: int, inside: NDArray[np.bool_] | None = None
) -> Tiling:
    """The windows that cover a box, as MONAI's sliding window lays them.

    A box that fits into one window is one, cut to the next multiples of ``divisor``.

    inside : (x, y, z), where the answer is wanted; windows that hold none of it are left out.
    """
    size = [
        min(wanted, next_multiple(edge, divisor))
        for wanted, edge in zip(window.size_voxels, shape, strict=True)
    ]
    padded = [max(edge, length) for edge, length in zip(shape, size, strict=True)]
    along = [
        _starts(edge, length, window.overlap) for edge, length in zip(padded, size, strict=True)
    ]
    edges: Shape = (size[0], size[1], size[2])
    starts: list[Shape] = list(itertools.product(*along))  # type: ignore[arg-type]
    if inside is not None:
        starts = [start for start in starts if inside[box_at(start, edges)].any()]
    return Tiling(shape=(padded[0], padded[1], padded[2]), window=edges, starts=tuple(starts))


def box_at(start: Shape, size: Shape) -> Box:
    """The slices of a window."""
    x, y, z = (slice(first, first + edge) for first, edge in zip(start, size, strict=True))
    return x, y, z


def next_multiple(edge: int, divisor: int) -> int:
    """The smallest multiple of ``divisor`` from ``edge`` on."""
    return -(-edge // divisor) * divisor


def _starts(edge: int, window: int, overlap: float) -> list[int]:
    """Windows a step apart; the last one is shifted back until it ends with the box."""
    if edge == window:
        return [0]
    step = max(1, int(window * (1 - overlap)))
    count = 1 + -(-(edge - window) // step)
    return [min(number * step, edge - window) for number in range(count)]
