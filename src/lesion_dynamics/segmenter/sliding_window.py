"""Lesion probability of a whole brain, in one pass or window by window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.segmenter.engines.engine import Engine
from lesion_dynamics.segmenter.network_input import outside_z
from lesion_dynamics.segmenter.tiling import tiling_of
from lesion_dynamics.settings.segmenter import WindowSettings


def lesion_probability(
    engine: Engine,
    channels: NDArray[np.float32],
    *,
    window: WindowSettings,
    inside: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Probability of every voxel of the box, (x, y, z) float32.

    channels : (sequences, x, y, z) in z units. Windows are blended with Gaussian weights, as
    MONAI does. A box that fits into one window is computed in one pass.
    inside : (x, y, z); windows that hold none of it are not computed, and 0.
    """
    shape = (channels.shape[1], channels.shape[2], channels.shape[3])
    tiling = tiling_of(shape, window=window, divisor=engine.divisor, inside=inside)
    if tiling.shape != shape:
        padded = np.empty((len(channels), *tiling.shape), dtype=np.float32)
        padded[:] = outside_z(channels)[:, None, None, None]
        padded[:, : shape[0], : shape[1], : shape[2]] = channels
        channels = padded
    probability = engine.probability(channels, tiling)
    return probability[: shape[0], : shape[1], : shape[2]]
