"""Instance normalisation and PReLU in bf16, as loops that read and write an activation once.

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
_BLOCK = 512  # elements of an inner loop, about
_BLOCKS = 64  # that are summed in float32
F = np.float32
U = np.uint32

_compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})


@_compiled
def _value(bits: np.uint16) -> np.float32:
    return U(U(bits) << U(16)).view(np.float32)


@_compiled
def _rounded(value: np.float32) -> np.uint16:
    """The nearest bf16, ties to even."""
    bits = F(value).view(np.uint32)
    return np.uint16(U(bits + U(0x7FFF) + ((bits >> U(16)) & U(1))) >> U(16))


@_compiled
def _flat(activation: Bits, piece: int) -> Bits:
    """A piece of an activation, the channels of one voxel after those of the other."""
    _, voxels, channels = activation.shape
    n, part = piece // PARTS, piece % PARTS
    begin, end = voxels * part // PARTS * channels, voxels * (part + 1) // PARTS * channels
    flat: Bits = activation[n].reshape(voxels * channels)[begin:end]
    return flat


@_compiled
def _tiled(row: Floats, size: int) -> Floats:
    """(size,) of a row, again and again."""
    result = np.empty(size, np.float32)
    for k in range(size):
        result[k] = row[k % len(row)]
    return result


@_compiled
def _folded(target: Sums, block: Floats) -> None:
    """Add a block of channels, again and again, to the sum of each, and empty it."""
    for k in range(len(block)):
        target[k % len(target)] += block[k]
        block[k] = 0


@_compiled
def moments(inputs: Bits, first: int, last: int, sums: Sums) -> None:
    """Sums and sums of squares of pieces ``first`` to ``last``, into (pieces, 2, channels)."""
    channels = inputs.shape[2]
    size = max(1, _BLOCK // channels) * channels
    total, squares = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for piece in range(first, last):
        flat = _flat(inputs, piece)
        sums[piece] = 0
        for block, start in enumerate(range(0, len(flat), size)):
            given = flat[start : start + size]
            for k in range(len(given)):
                value = _value(given[k])
                total[k] += value
                squares[k] += value * value
            if block % _BLOCKS == _BLOCKS - 1:
                _folded(sums[piece, 0], total)
                _folded(sums[piece, 1], squares)
        _folded(sums[piece, 0], total)
        _folded(sums[piece, 1], squares)


@_compiled
def activated(
    inputs: Bits, first: int, last: int, scale: Floats, shift: Floats, slope: float, result: Bits
) -> None:
    """PReLU of ``inputs * scale + shift``; scale, shift (batch, channels)."""
    channels = inputs.shape[2]
    size = max(1, _BLOCK // channels) * channels
    below = F(slope)
    for piece in range(first, last):
        n, flat = piece // PARTS, _flat(inputs, piece)
        target = _flat(result, piece)
        factor, offset = _tiled(scale[n], size), _tiled(shift[n], size)
        for start in range(0, len(flat), size):
            given, out = flat[start : start + size], target[start : start + size]
            for k in range(len(given)):
                z = _value(given[k]) * factor[k] + offset[k]
                out[k] = _rounded(z if z > F(0) else below * z)


@_compiled
def gradient_moments(
    inputs: Bits, gradient: Bits, first: int, last: int, scale: Floats, shift: Floats,
    slope: float, sums: Sums,
) -> None:  # fmt: skip
    """Into (pieces, 3, channels): sums of the gradient behind PReLU, of it times the normalised
    input, and of the part that PReLU's weight gets.
    """
    channels = inputs.shape[2]
    size = max(1, _BLOCK // channels) * channels
    below = F(slope)
    plain, times = np.zeros(size, np.float32), np.zeros(size, np.float32)
    weight = np.zeros(size, np.float32)
    for piece in range(first, last):
        n, flat = piece // PARTS, _flat(inputs, piece)
        above = _flat(gradient, piece)
        factor, offset = _tiled(scale[n], size), _tiled(shift[n], size)
        sums[piece] = 0
        for block, start in enumerate(range(0, len(flat), size)):
            given, coming = flat[start : start + size], above[start : start + size]
            for k in range(len(given)):
                z = _value(given[k]) * factor[k] + offset[k]
                come = _value(coming[k])
                passed = come if z > F(0) else below * come
                plain[k] += passed
                times[k] += passed * z
                weight[k] += come * min(z, F(0))
            if block % _BLOCKS == _BLOCKS - 1:
                _folded(sums[piece, 0], plain)
                _folded(sums[piece, 1], times)
                _folded(sums[piece, 2], weight)
        _folded(sums[piece, 0], plain)
        _folded(sums[piece, 1], times)
        _folded(sums[piece, 2], weight)


@_compiled
def input_gradient(
    inputs: Bits, gradient: Bits, first: int, last: int, scale: Floats, shift: Floats,
    slope: float, means: Floats, result: Bits,
) -> None:  # fmt: skip
    """Gradient of the inputs. means : (batch, 2, channels) of :func:`gradient_moments`."""
    channels = inputs.shape[2]
    size = max(1, _BLOCK // channels) * channels
    below = F(slope)
    for piece in range(first, last):
        n, flat = piece // PARTS, _flat(inputs, piece)
        above = _flat(gradient, piece)
        target = _flat(result, piece)
        factor, offset = _tiled(scale[n], size), _tiled(shift[n], size)
        plain, times = _tiled(means[n, 0], size), _tiled(means[n, 1], size)
        for start in range(0, len(flat), size):
            given, coming = flat[start : start + size], above[start : start + size]
            out = target[start : start + size]
            for k in range(len(given)):
                z = _value(given[k]) * factor[k] + offset[k]
                come = _value(coming[k])
                passed = come if z > F(0) else below * come
                out[k] = _rounded(factor[k] * (passed - plain[k] - z * times[k]))
