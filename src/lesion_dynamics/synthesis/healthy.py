"""What a sequence would show of a head, voxel by voxel: its tissue, and its lesions over it.

Rows along z are unpacked, interpolated and mixed while they lie in the processor's first cache.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.synthesis.kernels import Volume, field_row
from lesion_dynamics.synthesis.normal_numbers import F, compiled
from lesion_dynamics.synthesis.tissues import PLACES

Packed = NDArray[np.uint8]

LIMBIC_WHITE = F(0.4)
"""Of the limbic lobe's brightness in its white matter: fornix, fimbria, cingulum."""
DEEP_SHARE = F(0.5)
"""Of it in other cortex that lies deep."""
SIDED = F(0.5)
"""Deviation of the limbic brightness from place to place, as a share of it."""
DEEP_FROM_MM = 10.0
"""Below the brain's surface."""
DIRTY_FADES_MM = 25.0
_COAT_FADES_MM = 3.5
_ROWS = 8
"""Rows that are mixed at a time: long loops, and all of them fit into the second cache."""
_READ = 12  # maps of a healthy head: the first ones
_WHITE, _CORTEX, _NUCLEI, _FLUID = (PLACES[n] for n in ("white", "cortex", "nuclei", "fluid"))
_VENTRICLE, _DEPTH, _DISTANCE = (
    PLACES[n] for n in ("ventricle", "depth_mm", "ventricle_distance_mm")
)
_SIDE, _LIMBIC, _TRACTS = (PLACES[n] for n in ("side_mm", "limbic", "tracts"))
_COAT = PLACES["ventricle_coat"]


def of_distance(steps: Volume, zeros: Volume) -> Volume:
    """(3, 256) of a byte: how dirty white matter fades away from the ventricles, how the caps
    around them do, and how deep cortex lies, 0 to 1.
    """
    units = np.arange(256)
    distance = units * steps[_DISTANCE] + zeros[_DISTANCE]
    depth = units * steps[_DEPTH] + zeros[_DEPTH]
    return np.stack(
        [
            np.exp(-distance / DIRTY_FADES_MM),
            1 / (1 + (distance / _COAT_FADES_MM) ** 2),
            1 / (1 + np.exp((DEEP_FROM_MM - depth) / 2)),
        ]
    ).astype(np.float32)


@compiled
def healthy_signals(
    packed: Packed,
    steps: Volume,
    zeros: Volume,
    tables: Volume,
    fine: Volume,
    planes: tuple[Volume, ...],
    starts: tuple[float, ...],
    scales: tuple[float, ...],
    levels: Volume,
) -> Volume:
    """Signals (sequences, x, y, z) of a head without lesions.

    packed, steps, zeros : the maps, see :mod:`lesion_dynamics.synthesis.tissues`. tables :
    :func:`of_distance`. fine : the finest texture, (x, y, z); planes, starts, scales : the coarser
    ones (patches, white, dirty, spots) as :func:`field_row` takes them, of unit deviation.
    levels : (sequences, 19), in the order they are taken apart in :func:`_mixed`.
    """
    _, nx, ny, nz = packed.shape
    result = np.empty((len(levels), nx, ny, nz), np.float32)
    tissue = np.empty((_READ, _ROWS * nz), np.float32)
    texture = np.empty((5, _ROWS * nz), np.float32)
    distance, work = np.empty((3, _ROWS * nz), np.float32), np.empty((5, _ROWS * nz), np.float32)
    for i in range(nx):
        for first in range(0, ny, _ROWS):
            rows = min(_ROWS, ny - first)
            for r in range(rows):
                j, begin, end = first + r, r * nz, (r + 1) * nz
                for m in range(_READ):
                    row, source = tissue[m, begin:end], packed[m, i, j]
                    step, zero = steps[m], zeros[m]
                    for k in range(nz):
                        row[k] = F(source[k]) * step + zero
                _looked_up(distance[0, begin:end], tables[0], packed[_DISTANCE, i, j])
                _looked_up(distance[1, begin:end], tables[1], packed[_DISTANCE, i, j])
                _looked_up(distance[2, begin:end], tables[2], packed[_DEPTH, i, j])
                texture[0, begin:end] = fine[i, j]
                for t in range(4):
                    field_row(texture[t + 1, begin:end], planes[t], starts[t], scales[t], i, j)
            for s in range(len(levels)):
                out = result[s, i, first : first + rows].reshape(rows * nz)
                _mixed(out, tissue, texture, distance, work, levels[s])
    return result


@compiled
def _looked_up(target: Volume, table: Volume, places: Packed) -> None:
    for k in range(len(target)):
        target[k] = table[places[k]]


@compiled
def _mixed(
    out: Volume, tissue: Volume, texture: Volume, distance: Volume, work: Volume, levels: Volume
) -> None:
    """Some rows of a signal, behind each other."""
    (cortex_level, limbic, nuclei_level, fluid_level, choroid, residue, residue_from, residue_mm,
     rim, cap, septum, dirty, cortex_texture, cortex_patches, white_texture, flow, tracts,
     nuclei_patches, specks,
    ) = levels  # fmt: skip
    one, half, none = F(1), F(0.5), F(0)
    fine, patch, even, spotted, spot = texture[0], texture[1], texture[2], texture[3], texture[4]
    lobe, tract, near, side = tissue[_LIMBIC], tissue[_TRACTS], tissue[_DISTANCE], tissue[_SIDE]
    ventricle, depth, coat = tissue[_VENTRICLE], tissue[_DEPTH], tissue[_COAT]
    wet, fading, capped, deep = tissue[_FLUID], distance[0], distance[1], distance[2]
    white, cortex, other, speck, sided = work[0], work[1], work[2], work[3], work[4]
    for k in range(len(out)):
        # Skewed: a few of them are as bright as a lesion.
        speck[k] = spot[k] + max(spot[k] - one, none)
        white[k] = (
            one + white_texture * even[k] + dirty * max(spotted[k], none) * fading[k]
            + cap * capped[k] + tracts * tract[k] + LIMBIC_WHITE * limbic * lobe[k]
        )  # fmt: skip
    for k in range(len(out)):
        # Brighter on one side than on the other, here than there.
        sided[k] = max(one + SIDED * spotted[k], none)
        # Cortex that lies deep is brighter as well, though less than the limbic lobe.
        extra = limbic * sided[k] * max(DEEP_SHARE * deep[k], lobe[k])
        uneven = one + cortex_texture * fine[k] + cortex_patches * patch[k] + specks * speck[k]
        cortex[k] = (cortex_level + extra) * uneven
    for k in range(len(out)):
        uneven = one + half * white_texture * even[k] + nuclei_patches * (patch[k] + spotted[k])
        nuclei = nuclei_level * (uneven + specks * speck[k])
        # Amygdala, hippocampus and cingulum lie as deep as the nuclei, but are cortex.
        other[k] = nuclei + (cortex[k] - nuclei) * lobe[k]
    first, second, third = tissue[_WHITE], tissue[_CORTEX], tissue[_NUCLEI]
    for k in range(len(out)):
        out[k] = first[k] * white[k] + second[k] * cortex[k] + third[k] * other[k]
    for k in range(len(out)):
        fluid = fluid_level + flow * min(max(spot[k] - F(1.2), none), one)
        inside = ventricle[k] > F(0.7) and spot[k] > one
        fluid = choroid if inside else fluid
        left = depth[k] < residue_mm and spot[k] > residue_from
        out[k] += wet[k] * (residue if left else fluid)
    if rim != 0:
        for k in range(len(out)):
            coated = min(max(F(2.5) * coat[k] * (one - wet[k]), none), one)
            uneven = F(0.7) + F(0.3) * patch[k]
            out[k] += rim * coated * min(max(uneven, none), F(1.3))
    if septum != 0:
        for k in range(len(out)):
            middle = min(max((F(2.5) - side[k]) / F(1.5), none), one)
            wall = min(max((F(5) - near[k]) * half, none), one)
            out[k] += septum * middle * wall * (one - wet[k])
