"""The backward pass of instance normalisation with weights of its own, then leaky ReLU, in bf16.

Activations, pieces and sums are those of :mod:`lesion_dynamics.segmenter.norm_kernels`, whose
forward pass serves as it is: normalising and weighting are one multiplication and addition.
"""

from __future__ import annotations

import numpy as np

from lesion_dynamics.segmenter.norm_kernels import (
    BLOCK,
    BLOCKS,
    PARTS,
    Bits,
    F,
    Floats,
    Sums,
    bits_of_float,
    compiled,
    flat_piece,
    float_of,
    folded,
    tiled,
)


@compiled
def affine_gradient_moments(
    inputs: Bits, gradient: Bits, first: int, last: int, lines: Floats, slope: float, sums: Sums
) -> None:
    """Into (pieces, 2, channels): sums of the gradient behind the leaky ReLU, and of it times the
    normalised input: the gradients of bias and weight.

    lines : (batch, 4, channels) scale and shift to the normalised input, then to what is activated.
    """
    channels = inputs.shape[2]
    size = max(1, BLOCK // channels) * channels
    below = F(slope)
    plain, times = np.zeros(size, np.float32), np.zeros(size, np.float32)
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
                passed = come if x * factor[k] + offset[k] > F(0) else below * come
                plain[k] += passed
                times[k] += passed * (x * scale[k] + shift[k])
            if block % BLOCKS == BLOCKS - 1:
                folded(sums[piece, 0], plain)
                folded(sums[piece, 1], times)
        folded(sums[piece, 0], plain)
        folded(sums[piece, 1], times)


@compiled
def affine_input_gradient(
    inputs: Bits, gradient: Bits, first: int, last: int, lines: Floats, slope: float,
    means: Floats, result: Bits,
) -> None:  # fmt: skip
    """Gradient of the inputs. means : (batch, 2, channels) of :func:`affine_gradient_moments`."""
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
