"""The loops over voxels of the synthesis, compiled: each reads and writes a volume once.

All volumes are C-contiguous float32 (x, y, z) unless said otherwise. Sums are in a fixed order,
so the same input gives the same bytes. Inner loops go along z and know few arrays each: so they
run as vectors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.synthesis.normal_numbers import F, compiled, exp2, log2

Volume = NDArray[np.float32]
Whole = NDArray[np.int64]

_TAPS = 4  # rows that are summed at a time


@compiled
def convolved(volume: Volume, kernels: Volume) -> Volume:  # noqa: C901  in one piece it is quicker
    """The three convolutions with ``kernels`` (3, 2 * reach + 1) in one pass; edges repeat.

    Planes are convolved along z and y as they are met, and as many are kept as the kernel along x
    reaches. Offset t of a kernel moves the content t voxels up.
    """
    nx, ny, nz = volume.shape
    reach = kernels.shape[1] // 2
    places, weights = _taps(kernels)
    width = nz + 2 * reach
    padded = np.zeros(ny * width + 2 * reach, np.float32)
    rows = np.zeros((ny + 2 * reach) * width, np.float32)
    planes = np.zeros((2 * reach + 1, ny * width), np.float32)
    summed = np.empty(ny * width, np.float32)
    result = np.empty((nx, ny, nz), np.float32)
    for i in range(nx + reach):
        if i < nx:
            for j in range(ny):
                row, source = padded[j * width : (j + 1) * width], volume[i, j]
                row[:reach] = source[0]
                row[reach : reach + nz] = source
                row[reach + nz :] = source[nz - 1]
            _weighted(rows[reach * width :], padded, reach - places[2], weights[2], ny * width)
            for j in range(reach):
                rows[j * width : (j + 1) * width] = rows[reach * width : (reach + 1) * width]
                last = (reach + ny) * width
                rows[last + j * width : last + (j + 1) * width] = rows[last - width : last]
            plane = planes[i % (2 * reach + 1)]
            _weighted(plane, rows, (reach - places[1]) * width, weights[1], ny * width)
        target = i - reach
        if target >= 0:
            for t in range(0, len(places[0]), _TAPS):
                a, b, c, d = (
                    planes[min(max(target - places[0, t], 0), nx - 1) % (2 * reach + 1)],
                    planes[min(max(target - places[0, t + 1], 0), nx - 1) % (2 * reach + 1)],
                    planes[min(max(target - places[0, t + 2], 0), nx - 1) % (2 * reach + 1)],
                    planes[min(max(target - places[0, t + 3], 0), nx - 1) % (2 * reach + 1)],
                )
                wa, wb, wc, wd = (
                    weights[0, t],
                    weights[0, t + 1],
                    weights[0, t + 2],
                    weights[0, t + 3],
                )
                if t == 0:
                    for f in range(ny * width):
                        summed[f] = wa * a[f] + wb * b[f] + (wc * c[f] + wd * d[f])
                else:
                    for f in range(ny * width):
                        summed[f] += wa * a[f] + wb * b[f] + (wc * c[f] + wd * d[f])
            for j in range(ny):
                result[target, j] = summed[j * width : j * width + nz]
    return result


@compiled
def _taps(kernels: Volume) -> tuple[Whole, Volume]:
    """Offsets and weights (3, n) that are not 0, filled up with weights of 0 to fours."""
    reach, most = kernels.shape[1] // 2, 1
    for axis in range(3):
        most = max(most, int(np.count_nonzero(kernels[axis])))
    count = (most + _TAPS - 1) // _TAPS * _TAPS
    places, weights = np.zeros((3, count), np.int64), np.zeros((3, count), np.float32)
    for axis in range(3):
        used = 0
        for step in range(-reach, reach + 1):
            if kernels[axis, reach + step] != 0:
                places[axis, used], weights[axis, used] = step, kernels[axis, reach + step]
                used += 1
    return places, weights


@compiled
def _weighted(target: Volume, source: Volume, starts: Whole, weights: Volume, size: int) -> None:
    """Sum of flat pieces of ``source`` that begin at ``starts``, into the first ``size`` places."""
    for t in range(0, len(starts), _TAPS):
        if t > 0 and weights[t] == 0:
            break
        a, b = source[starts[t] :], source[starts[t + 1] :]
        c, d = source[starts[t + 2] :], source[starts[t + 3] :]
        wa, wb, wc, wd = weights[t], weights[t + 1], weights[t + 2], weights[t + 3]
        if t == 0:
            for f in range(size):
                target[f] = wa * a[f] + wb * b[f] + (wc * c[f] + wd * d[f])
        else:
            for f in range(size):
                target[f] += wa * a[f] + wb * b[f] + (wc * c[f] + wd * d[f])


@compiled
def banded(volume: Volume, axis: int, first: Whole, weights: Volume) -> Volume:
    """Along ``axis``, place m of the result is the sum of ``weights[m]`` (m, taps) times the
    voxels from ``first[m]`` on; all of them must lie inside.
    """
    nx, ny, nz = volume.shape
    count, taps = weights.shape
    shape = (count if axis == 0 else nx, count if axis == 1 else ny, count if axis == 2 else nz)
    result = np.empty(shape, np.float32)
    for i in range(shape[0]):
        for j in range(shape[1]):
            row = result[i, j]
            if axis == 2:
                line = volume[i, j]
                for k in range(count):
                    value, start = F(0), first[k]
                    for t in range(taps):
                        value += weights[k, t] * line[start + t]
                    row[k] = value
                continue
            place = i if axis == 0 else j
            row[:] = F(0)
            for t in range(taps):
                weight, at = weights[place, t], first[place] + t
                if weight == 0:
                    continue
                line = volume[at, j] if axis == 0 else volume[i, at]
                for k in range(nz):
                    row[k] += weight * line[k]
    return result


@compiled
def stretched(lattice: Volume, offsets: Volume, scale: float, ny: int, nz: int) -> Volume:
    """(nodes along x, ny, nz): a lattice interpolated along y and z.

    scale : voxels between nodes; offsets : (3,) place of the first voxel, in nodes.
    """
    mx, my, mz = lattice.shape
    result = np.empty((mx, ny, nz), np.float32)
    lines = np.empty((my, nz), np.float32)
    for i in range(mx):
        for k in range(nz):
            place = k / scale + offsets[2]
            low = min(int(place), mz - 2)
            share = F(place - low)
            for j in range(my):
                lines[j, k] = lattice[i, j, low] * (F(1) - share) + lattice[i, j, low + 1] * share
        for j in range(ny):
            place = j / scale + offsets[1]
            low = min(int(place), my - 2)
            _between(result[i, j], lines[low], lines[low + 1], F(place - low))
    return result


@compiled
def _between(target: Volume, low: Volume, high: Volume, share: np.float32) -> None:
    """A row that lies ``share`` of the way from one row to the next."""
    rest = F(1) - share
    for k in range(len(target)):
        target[k] = low[k] * rest + high[k] * share


@compiled
def field_row(target: Volume, planes: Volume, start: float, scale: float, i: int, j: int) -> None:
    """Row (i, j) of a field that is :func:`stretched` in y and z; ``start`` : offset along x."""
    place = i / scale + start
    low = min(int(place), planes.shape[0] - 2)
    _between(target, planes[low, j], planes[low + 1, j], F(place - low))


@compiled
def whole_field(planes: Volume, start: float, scale: float, nx: int) -> Volume:
    """Every row of :func:`field_row`."""
    result = np.empty((nx, planes.shape[1], planes.shape[2]), np.float32)
    for i in range(nx):
        for j in range(planes.shape[1]):
            field_row(result[i, j], planes, start, scale, i, j)
    return result


@compiled
def received(
    signal: Volume,
    noise: Volume,
    planes: Volume,
    start: float,
    scale: float,
    levels: Volume,
) -> Volume:
    """A signal under the coil's field, with noise, not below zero, to a power.

    planes, start, scale : the field, as :func:`field_row` takes it. levels : (3,) bias, noise and
    gamma.
    """
    nx, ny, nz = signal.shape
    result, gain = np.empty((nx, ny, nz), np.float32), np.empty(nz, np.float32)
    depth, loudness, gamma = levels
    for i in range(nx):
        for j in range(ny):
            field_row(gain, planes, start, scale, i, j)
            out, given, loud = result[i, j], signal[i, j], noise[i, j]
            for k in range(nz):
                factor = min(max(F(1) + depth * gain[k], F(0.4)), F(1.8))
                out[k] = given[k] * factor + loudness * loud[k]
            for k in range(nz):
                positive = max(out[k], F(1e-30))
                out[k] = exp2(gamma * log2(positive)) if out[k] > F(0) else F(0)
    return result


@compiled
def as_input(
    intensities: Volume, visible: NDArray[np.bool_], centre: float, scale: float,
    lowest: float, highest: float,
) -> Volume:  # fmt: skip
    """Normalised, cut at the range of the network's input, ``lowest`` where not visible."""
    result = np.empty(intensities.shape, np.float32)
    factor, shift = F(1 / scale), F(-centre / scale)
    bottom, top = F(lowest), F(highest)
    for i in range(intensities.shape[0]):
        for j in range(intensities.shape[1]):
            row, given, seen = result[i, j], intensities[i, j], visible[i, j]
            for k in range(len(row)):
                z = min(max(given[k] * factor + shift, bottom), top)
                row[k] = z if seen[k] else bottom
    return result
