"""The loops over voxels of the synthesis, compiled: each reads and writes a volume once.

All volumes are C-contiguous float32 (x, y, z) unless said otherwise. Sums are in a fixed order,
so the same input gives the same bytes.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Volume = NDArray[np.float32]

_compiled = njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def unpacked(packed: NDArray[np.uint8], steps: Volume, zeros: Volume) -> Volume:
    """(maps, x, y, z) of ``value * step + zero``; ``packed`` may be a view of a larger array."""
    maps, nx, ny, nz = packed.shape
    result = np.empty((maps, nx, ny, nz), np.float32)
    for m in range(maps):
        step, zero = steps[m], zeros[m]
        for i in range(nx):
            for j in range(ny):
                row, source = result[m, i, j], packed[m, i, j]
                for k in range(nz):
                    row[k] = np.float32(source[k]) * step + zero
    return result


@_compiled
def convolved(  # noqa: C901  in one piece it is several times faster
    volume: Volume, kernels: Volume, reach: int
) -> Volume:
    """One axis after the other with ``kernels`` (3, 2 * reach + 1); edges repeat.

    A row of ``kernels`` that is 1 in the middle and 0 elsewhere leaves its axis alone.
    """
    nx, ny, nz = volume.shape
    result = volume
    for axis in range(3):
        weights = kernels[axis]
        if weights[reach] == 1:
            continue
        source, target = result, np.empty((nx, ny, nz), np.float32)
        padded = np.empty(nz + 2 * reach, np.float32)
        for i in range(nx):
            for j in range(ny):
                row = target[i, j]
                row[:] = 0
                if axis == 2:
                    line = source[i, j]
                    padded[:reach] = line[0]
                    padded[reach : reach + nz] = line
                    padded[reach + nz :] = line[nz - 1]
                for step in range(-reach, reach + 1):
                    weight = weights[reach + step]
                    if weight == 0:
                        continue
                    if axis == 0:
                        other = source[min(max(i - step, 0), nx - 1), j]
                    elif axis == 1:
                        other = source[i, min(max(j - step, 0), ny - 1)]
                    else:
                        other = padded[reach - step : reach - step + nz]
                    for k in range(nz):
                        row[k] += weight * other[k]
        result = target
    return result


@_compiled
def interpolated(
    lattice: Volume, offsets: Volume, scale: float, shape: tuple[int, int, int]
) -> Volume:
    """Trilinear interpolation of a lattice whose nodes lie ``scale`` voxels apart.

    offsets : (3,) place of the first voxel, in nodes.
    """
    nx, ny, nz = shape
    nodes = lattice.shape[2]
    result = np.empty((nx, ny, nz), np.float32)
    low = np.empty(nz, np.int64)
    share = np.empty(nz, np.float32)
    for k in range(nz):
        place = k / scale + offsets[2]
        low[k] = min(int(place), nodes - 2)
        share[k] = place - low[k]
    line = np.empty(nodes, np.float32)
    for i in range(nx):
        x = i / scale + offsets[0]
        x0 = min(int(x), lattice.shape[0] - 2)
        wx = np.float32(x - x0)
        for j in range(ny):
            y = j / scale + offsets[1]
            y0 = min(int(y), lattice.shape[1] - 2)
            wy = np.float32(y - y0)
            for n in range(nodes):
                near = lattice[x0, y0, n] * (1 - wy) + lattice[x0, y0 + 1, n] * wy
                far = lattice[x0 + 1, y0, n] * (1 - wy) + lattice[x0 + 1, y0 + 1, n] * wy
                line[n] = near * (1 - wx) + far * wx
            row = result[i, j]
            for k in range(nz):
                row[k] = line[low[k]] * (1 - share[k]) + line[low[k] + 1] * share[k]
    return result


@_compiled
def lesions_over(
    signal: Volume,
    core: Volume,
    surroundings: Volume,
    brightness: Volume,
    uneven: Volume,
    fluid: Volume,
    halo: float,
    lesion: float,
    fluid_level: float,
) -> Volume:
    """What lesions add to ``signal``: their own brightness, as far as they reach, no fluid."""
    added = np.empty(signal.shape, np.float32)
    rim, contrast, level, one = (
        np.float32(halo),
        np.float32(lesion),
        np.float32(fluid_level),
        np.float32(1),
    )
    for i in range(signal.shape[0]):
        for j in range(signal.shape[1]):
            for k in range(signal.shape[2]):
                reach = max(core[i, j, k], rim * min(np.float32(2) * surroundings[i, j, k], one))
                wet = fluid[i, j, k]
                bright = brightness[i, j, k] * (one + np.float32(0.12) * uneven[i, j, k])
                ill = (one + contrast * bright) * (one - wet) + level * wet
                added[i, j, k] = reach * (ill - signal[i, j, k])
    return added


@_compiled
def received(
    signal: Volume, added: Volume, field: Volume, noise: Volume, bias: float, deviation: float
) -> Volume:
    """Both parts under the coil's field, with noise, not below zero."""
    result = np.empty(signal.shape, np.float32)
    depth, loudness = np.float32(bias), np.float32(deviation)
    for i in range(signal.shape[0]):
        for j in range(signal.shape[1]):
            for k in range(signal.shape[2]):
                gain = min(
                    max(np.float32(1) + depth * field[i, j, k], np.float32(0.4)), np.float32(1.8)
                )
                value = (signal[i, j, k] + added[i, j, k]) * gain + loudness * noise[i, j, k]
                result[i, j, k] = max(value, np.float32(0))
    return result
