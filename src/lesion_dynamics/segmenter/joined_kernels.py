"""Channels of two bf16 activations side by side, and apart again."""

from __future__ import annotations

from numba import njit

from lesion_dynamics.segmenter.norm_kernels import PARTS, Bits

compiled = njit(cache=True, nogil=True, error_model="numpy")


@compiled
def joined(one: Bits, other: Bits, first: int, last: int, result: Bits) -> None:
    """(batch, voxels, channels) of ``one``, then ``other``; pieces ``first`` to ``last``."""
    _, voxels, channels = one.shape
    both = channels + other.shape[2]
    for piece in range(first, last):
        n, part = piece // PARTS, piece % PARTS
        begin, end = voxels * part // PARTS, voxels * (part + 1) // PARTS
        for voxel in range(begin, end):
            for k in range(channels):
                result[n, voxel, k] = one[n, voxel, k]
            for k in range(channels, both):
                result[n, voxel, k] = other[n, voxel, k - channels]


@compiled
def parted(both: Bits, first: int, last: int, one: Bits, other: Bits) -> None:
    """The reverse."""
    _, voxels, channels = one.shape
    for piece in range(first, last):
        n, part = piece // PARTS, piece % PARTS
        begin, end = voxels * part // PARTS, voxels * (part + 1) // PARTS
        for voxel in range(begin, end):
            for k in range(channels):
                one[n, voxel, k] = both[n, voxel, k]
            for k in range(other.shape[2]):
                other[n, voxel, k] = both[n, voxel, channels + k]
