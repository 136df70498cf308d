"""What lesions add to a healthy signal, in the box that holds them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lesion_dynamics.synthesis.fields import Field, blur
from lesion_dynamics.synthesis.healthy import Packed
from lesion_dynamics.synthesis.kernels import Volume, field_row
from lesion_dynamics.synthesis.look import SequenceLook
from lesion_dynamics.synthesis.normal_numbers import F, compiled
from lesion_dynamics.synthesis.tissues import PLACES, STEPS, Tissues

Box = tuple[slice, slice, slice]
Line = NDArray[np.uint8]
EDGE_REACH = 4
"""Voxels that the widest blur of a lesion's edge reaches."""
_BRIGHTNESS, _SURROUNDINGS, _FLUID = (
    PLACES[n] for n in ("lesion_brightness", "lesion_surroundings", "fluid")
)
_UNEVEN = F(0.12)


def lesion_box(tissues: Tissues) -> Box | None:
    """Where lesions may add anything: their labels with a margin, and their surroundings."""
    ranges = []
    labelled, near = (
        occupied(tissues.bytes_of(name).numpy()) for name in ("lesion_label", "lesion_surroundings")
    )
    for size, label, around in zip(tissues.shape, labelled, near, strict=True):
        wider = np.flatnonzero(np.convolve(label, np.ones(2 * EDGE_REACH + 1), "same") + around)
        if len(wider) == 0:
            return None
        ranges.append(slice(int(wider[0]), min(int(wider[-1]) + 1, size)))
    return ranges[0], ranges[1], ranges[2]


@compiled
def occupied(volume: NDArray[np.uint8]) -> tuple[Line, Line, Line]:
    """Along each axis, 1 where a plane across it holds anything but 0."""
    nx, ny, nz = volume.shape
    x, y = np.zeros(nx, np.uint8), np.zeros(ny, np.uint8)
    z = np.zeros(nz, np.uint8)
    for i in range(nx):
        for j in range(ny):
            row, found = volume[i, j], np.uint8(0)
            for k in range(nz):
                found |= row[k]
            if found:
                x[i] = y[j] = 1
                for k in range(nz):
                    z[k] |= row[k]
    return x, y, (z > 0).astype(np.uint8)


def lesions_added(
    signal: Volume, tissues: Tissues, uneven: Field, box: Box, look: SequenceLook
) -> Tensor:
    """Add the lesions to ``signal``, in place; return what was added inside ``box``."""
    label = tissues.bytes_of("lesion_label")[box].ne(0).float()
    core = blur(label, [look.edge_voxels] * 3).numpy()
    levels = np.array([look.halo, look.lesion, look.fluid], dtype=np.float32)
    low = np.array([one.start for one in box])
    packed = tissues.packed.numpy()
    return torch.from_numpy(
        add_lesions(
            signal, packed, STEPS, core, low, uneven.planes, uneven.start, uneven.scale, levels
        )
    )


@compiled
def add_lesions(
    signal: Volume,
    packed: Packed,
    steps: Volume,
    core: Volume,
    low: np.ndarray,
    planes: Volume,
    start: float,
    scale: float,
    levels: Volume,
) -> Volume:
    """Lesions with their own brightness, as far as they reach, no fluid: added to ``signal`` where
    ``core`` (x, y, z) lies, from voxel ``low`` on. Returns what was added there.

    packed, steps : the maps. planes, start, scale : the texture that makes lesions uneven.
    levels : (3,) halo, lesion, fluid.
    """
    added = np.empty(core.shape, np.float32)
    row = np.empty(signal.shape[2], np.float32)
    rim, contrast, level = levels
    one = F(1)
    nz = core.shape[2]
    for i in range(core.shape[0]):
        for j in range(core.shape[1]):
            x, y = i + low[0], j + low[1]
            field_row(row, planes, start, scale, x, y)
            uneven, out, inner = row[low[2] :], added[i, j], core[i, j]
            bright = packed[_BRIGHTNESS, x, y, low[2] :]
            near = packed[_SURROUNDINGS, x, y, low[2] :]
            fluid, below = packed[_FLUID, x, y, low[2] :], signal[x, y, low[2] :]
            for k in range(nz):
                own = F(bright[k]) * steps[_BRIGHTNESS] * (one + _UNEVEN * uneven[k])
                wet = F(fluid[k]) * steps[_FLUID]
                out[k] = (one + contrast * own) * (one - wet) + level * wet
            for k in range(nz):
                around = min(F(2) * (F(near[k]) * steps[_SURROUNDINGS]), one)
                out[k] = max(inner[k], rim * around) * (out[k] - below[k])
            for k in range(nz):
                below[k] += out[k]
    return added
