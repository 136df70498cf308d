"""Normalisation and PReLU or leaky ReLU in bf16, reading an activation once.

Activations are (batch, voxels, channels) uint16, the bits of bf16 with the channels of a voxel side
by side, as convolutions on processors with AMX want them. They are cut into `PARTS` pieces of a
sample; sums are taken piece by piece, in float32 over short blocks and in float64 over these, so
results do not depend on how many threads share the pieces.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bits = NDArray[np.uint16]
Floats = NDArray[np.float32]
Sums = NDArray[np.float64]

PARTS = 4
"""Pieces of a sample."""
BLOCK = 512
"""Elements of an inner loop, about."""
BLOCKS = 64
"""That are summed in float32."""
F = np.float32
U = np.uint32

compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})


@compiled
def float_of(bits: np.uint16) -> np.float32:
    """A bf16."""
    return U(U(bits) << U(16)).view(np.float32)


@compiled
def bits_of_float(value: np.float32) -> np.uint16:
    """The nearest bf16, ties to even."""
    bits = F(value).view(np.uint32)
    return np.uint16(U(bits + U(0x7FFF) + ((bits >> U(16)) & U(1))) >> U(16))


@compiled
def flat_piece(activation: Bits, piece: int) -> Bits:
    """A piece of an activation, the channels of one voxel after those of the other."""
    _, voxels, channels = activation.shape
    n, part = piece // PARTS, piece % PARTS
    begin, end = voxels * part // PARTS * channels, voxels * (part + 1) // PARTS * channels
    flat: Bits = activation[n].reshape(voxels * channels)[begin:end]
    return flat


@compiled
def tiled(row: Floats, size: int) -> Floats:
    """(size,) of a row, again and again."""
    result = np.empty(size, np.float32)
    for k in range(size):
        result[k] = row[k % len(row)]
    return result


@compiled
def folded(target: Sums, block: Floats) -> None:
    """Add a block of channels, again and again, to the sum of each, and empty it."""
    for k in range(len(block)):
        target[k % len(target)] += block[k]
        block[k] = 0


@compiled
def moments(inputs: Bits, first: int, last: int, sums: Sums) -> None:
    """Sums and sums of squares of pieces ``first`` to ``last``, into (pieces, 2, channels)."""
    channels = inputs.shape[2]
    size = max(1, BLOCK // channels) * channels
    total, squares = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for piece in range(first, last):
        flat = flat_piece(inputs, piece)
        sums[piece] = 0
        for block, start in enumerate(range(0, len(flat), size)):
            given = flat[start : start + size]
            for k in range(len(given)):
                value = float_of(given[k])
                total[k] += value
                squares[k] += value * value
            if block % BLOCKS == BLOCKS - 1:
                folded(sums[piece, 0], total)
                folded(sums[piece, 1], squares)
        folded(sums[piece, 0], total)
        folded(sums[piece, 1], squares)


@compiled
def activated(
    inputs: Bits, first: int, last: int, scale: Floats, shift: Floats, slope: float, result: Bits
) -> None:
    """PReLU or leaky ReLU of ``inputs * scale + shift``; scale, shift (batch, channels)."""
    channels = inputs.shape[2]
    size = max(1, BLOCK // channels) * channels
    below = F(slope)
    for piece in range(first, last):
        n, flat = piece // PARTS, flat_piece(inputs, piece)
        target = flat_piece(result, piece)
        factor, offset = tiled(scale[n], size), tiled(shift[n], size)
        for start in range(0, len(flat), size):
            given, out = flat[start : start + size], target[start : start + size]
            for k in range(len(given)):
                z = float_of(given[k]) * factor[k] + offset[k]
                out[k] = bits_of_float(z if z > F(0) else below * z)


@compiled
def gradient_moments(
    inputs: Bits, gradient: Bits, first: int, last: int, lines: Floats, slope: float, sums: Sums
) -> None:
    """Into (pieces, 3, channels): sums of the gradient behind the activation, of it times the
    normalised input, and of the part that the activation's slope gets. The first two are the
    gradients of the normalisation's bias and weight.

    lines : (batch, 4, channels) scale and shift to the normalised input, then to what is activated.
    """
    channels = inputs.shape[2]
    size = max(1, BLOCK // channels) * channels
    below = F(slope)
    plain, times = np.zeros(size, np.float32), np.zeros(size, np.float32)
    of_slope = np.zeros(size, np.float32)
    for piece in range(first, last):
        n, flat = piece // PARTS, flat_piece(inputs, piece)
        above = flat_piece(gradient, piece)
        scale, shift = tiled(lines[n, 0], size), tiled(lines[n, 1], size)
        factor, offset = tiled(lines[n, 2], size), tiled(lines[n, 3], size)
        sums[piece] = 0
        for block, start in enumerate(range(0, len(flat), size)):
            given, coming = flat[start : start + size], above[start : start + size]
            for k in range(len(given)):
                x, come = float_of(given[k]), float_of(coming[k])
                z = x * factor[k] + offset[k]
                passed = come if z > F(0) else below * come
                plain[k] += passed
                times[k] += passed * (x * scale[k] + shift[k])
                of_slope[k] += come * min(z, F(0))
            if block % BLOCKS == BLOCKS - 1:
                folded(sums[piece, 0], plain)
                folded(sums[piece, 1], times)
                folded(sums[piece, 2], of_slope)
        folded(sums[piece, 0], plain)
        folded(sums[piece, 1], times)
        folded(sums[piece, 2], of_slope)


@compiled
def input_gradient(
    inputs: Bits, gradient: Bits, first: int, last: int, lines: Floats, slope: float,
    means: Floats, result: Bits,
) -> None:  # fmt: skip
    """Gradient of the inputs. means : (batch, 2, channels) of :func:`gradient_moments`."""
    channels = inputs.shape[2]
    size = max(1, BLOCK // channels) * channels
    below = F(slope)
    for piece in range(first, last):
        n, flat = piece // PARTS, flat_piece(inputs, piece)
        above = flat_piece(gradient, piece)
        target = flat_piece(result, piece)
        scale, shift = tiled(lines[n, 0], size), tiled(lines[n, 1], size)
        factor, offset = tiled(lines[n, 2], size), tiled(lines[n, 3], size)
        plain, times = tiled(means[n, 0], size), tiled(means[n, 1], size)
        for start in range(0, len(flat), size):
            given, coming = flat[start : start + size], above[start : start + size]
            out = target[start : start + size]
            for k in range(len(given)):
                x, come = float_of(given[k]), float_of(coming[k])
                passed = come if x * factor[k] + offset[k] > F(0) else below * come
                normal = x * scale[k] + shift[k]
                out[k] = bits_of_float(factor[k] * (passed - plain[k] - normal * times[k]))
