"""Lesion evidence shared between the sessions of a participant, where the image did not change.

A voxel's lesion probability differs between two sessions for two reasons: the tissue changed, or
noise, position and field did. The normalised FLAIR tells them apart. Arrays only.

The same idea, with other means: LST's longitudinal pipeline decides on a change of a lesion by
the FLAIR difference against its noise (Schmidt et al. 2019, doi 10.1016/j.nicl.2019.101849);
SAMSEG's ties the sessions by a latent state and leaves each its own deviations (Cerri et al.
2023, doi 10.1016/j.nicl.2023.103354). The weights are those of a bilateral filter (Tomasi and
Manduchi 1998, doi 10.1109/ICCV.1998.710815) along time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]

SMOOTHED_MM = 1.5
"""Standard deviation of the Gaussian that the difference of two FLAIRs is smoothed with."""
WITHIN_NOISE = 1.0
"""Difference, in standard deviations of its noise, at which another session counts 0.6 of the
own one. Larger: less noise in changes, and more of small true changes lost
(benchmarks/longitudinal_mode.py)."""
BLOCK_MM = 8.0
"""Edge of the blocks in which differences that are no lesion's (field, scanner) are found."""
_BLOCK_BLUR = 1.0  # blocks
_LARGEST_Z = 1.5  # a difference beyond this is not of the field
_LARGEST_CHANGE_Z = 4.0
_CERTAIN = 0.004  # probabilities are stored in steps of this
_NORMAL_MAD = 1.4826
_LEAST = 1e-3
_MOST_SAMPLES = 50_000


def log_odds(probability: Floats) -> Floats:
    """Logarithm of the odds, within what stored probabilities tell apart."""
    inside = np.clip(probability, _CERTAIN / 2, 1 - _CERTAIN / 2)
    return np.asarray(np.log(inside / (1 - inside)), dtype=np.float32)


def from_log_odds(odds: Floats) -> Floats:
    """The probability."""
    return np.asarray(1 / (1 + np.exp(-odds)), dtype=np.float32)


def unchanged(
    own: Floats,
    other: Floats,
    inside: NDArray[np.bool_],
    at: NDArray[np.int64],
    *,
    voxel_sizes_mm: tuple[float, float, float],
) -> Floats:
    """How far another session may speak for this one: 1 where the FLAIR is the same, 0 where not.

    ``exp(-(d / WITHIN_NOISE)^2 / 2)`` with d the smoothed difference of the two FLAIRs, less what
    of it varies slowly, over its robust standard deviation in the brain.

    Parameters
    ----------
    own, other : (x, y, z) FLAIR in z units on one grid. inside : where both show brain.
    at : (n,) flat indices of the voxels that are asked for.

    Returns
    -------
    (n,) between 0 and 1; 0 where one session shows no brain.
    """
    raw = np.where(inside, np.clip(other - own, -_LARGEST_CHANGE_Z, _LARGEST_CHANGE_Z), 0)
    raw = raw.astype(np.float32)
    brain = np.flatnonzero(inside)
    if len(brain) == 0:
        return np.zeros(len(at), dtype=np.float32)
    sigma = [SMOOTHED_MM / size for size in voxel_sizes_mm]
    weight = ndimage.gaussian_filter(inside.astype(np.float32), sigma, truncate=3.0)
    smooth = ndimage.gaussian_filter(raw, sigma, truncate=3.0) / np.maximum(weight, _LEAST)
    slow = _Slow(raw, inside, voxel_sizes_mm)
    brain = brain[:: -(-len(brain) // _MOST_SAMPLES)]
    everywhere = smooth.ravel()[brain] - slow.at(brain, own.shape)
    noise = max(_NORMAL_MAD * float(np.median(np.abs(everywhere))), _LEAST)
    change = (smooth.ravel()[at] - slow.at(at, own.shape)) / np.float32(WITHIN_NOISE * noise)
    return np.where(inside.ravel()[at], np.exp(-0.5 * change**2), 0).astype(np.float32)


def shared_log_odds(own: Floats, others: Sequence[Floats], weights: Sequence[Floats]) -> Floats:
    """Weighted mean of the sessions' log odds; a session's own has the weight 1.

    own : (n,). others, weights : of each other session, (n,) at the same places.
    """
    total, weight = own.astype(np.float64), np.ones(own.shape)
    for odds, one in zip(others, weights, strict=True):
        total += one * odds
        weight += one
    return np.asarray(total / weight, dtype=np.float32)


class _Slow:
    """What varies slowly of a difference: means of blocks, smoothed."""

    def __init__(
        self, raw: Floats, inside: NDArray[np.bool_], voxel_sizes_mm: tuple[float, float, float]
    ) -> None:
        self.edges = [max(1, round(BLOCK_MM / size)) for size in voxel_sizes_mm]
        total = _block_sums(np.clip(raw, -_LARGEST_Z, _LARGEST_Z), self.edges)
        count = _block_sums(inside.astype(np.float32), self.edges)
        self.values = ndimage.gaussian_filter(total, _BLOCK_BLUR) / np.maximum(
            ndimage.gaussian_filter(count, _BLOCK_BLUR), _LEAST
        )

    def at(self, flat: NDArray[np.int64], shape: tuple[int, ...]) -> Floats:
        index = np.stack(np.unravel_index(flat, shape)).astype(np.float64)
        edges = np.array(self.edges, dtype=np.float64)[:, None]
        block = (index + 0.5) / edges - 0.5
        found = ndimage.map_coordinates(self.values, block, order=1, mode="nearest")
        return np.asarray(found, dtype=np.float32)


def _block_sums(values: Floats, edges: Sequence[int]) -> Floats:
    padding = [(0, -size % edge) for size, edge in zip(values.shape, edges, strict=True)]
    for axis, (pad, edge) in enumerate(zip(padding, edges, strict=True)):
        values = np.pad(values, [pad if a == axis else (0, 0) for a in range(3)])
        starts = np.arange(0, values.shape[axis], edge)
        values = np.add.reduceat(values, starts, axis=axis)
    return values
