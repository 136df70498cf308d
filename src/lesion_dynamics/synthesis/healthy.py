"""What a sequence would show of a head without lesions, voxel by voxel."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Volume = NDArray[np.float32]

LIMBIC_WHITE = 0.4
"""Of the limbic lobe's brightness in its white matter: fornix, fimbria, cingulum."""
DEEP_SHARE = 0.5
"""Of it in other cortex that lies deep."""


@njit(cache=True, nogil=True, error_model="numpy")
def healthy_signal(
    tissue: tuple[Volume, ...],
    textures: tuple[Volume, ...],
    fading: Volume,
    deep: Volume,
    levels: Volume,
) -> Volume:
    """Signal (x, y, z).

    All volumes are C-contiguous float32 (x, y, z). tissue : white, cortex, nuclei, fluid,
    ventricle, depth, distance to the ventricles and to the midplane in mm, limbic, tracts,
    coat of the ventricles. textures : fine, patches, white, dirty, spots, of unit deviation.
    fading : how dirty white matter fades away from the ventricles; deep : how deep cortex lies,
    0 to 1. levels : (17,), in the order they are taken apart below.
    """
    (cortex_level, limbic, nuclei_level, fluid_level, choroid, residue, residue_from, residue_mm,
     rim, cap, septum, dirty, cortex_texture, cortex_patches, white_texture, flow, tracts,
    ) = levels  # fmt: skip
    nx, ny, nz = fading.shape
    result = np.empty((nx, ny, nz), np.float32)
    one, half = np.float32(1), np.float32(0.5)
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                near = tissue[6][i, j, k]
                lobe, tract = tissue[8][i, j, k], tissue[9][i, j, k]
                fine, patch = textures[0][i, j, k], textures[1][i, j, k]
                even, spot = textures[2][i, j, k], textures[4][i, j, k]
                fluid_share = tissue[3][i, j, k]
                far = near / np.float32(3.5)
                white = one + white_texture * even
                white += dirty * max(textures[3][i, j, k], np.float32(0)) * fading[i, j, k]
                white += cap / (one + far * far) + tracts * tract
                white += np.float32(LIMBIC_WHITE) * limbic * lobe
                # Cortex that lies deep is brighter as well, though less than the limbic lobe.
                extra = limbic * max(np.float32(DEEP_SHARE) * deep[i, j, k], lobe)
                cortex = (cortex_level + extra) * (
                    one + cortex_texture * fine + cortex_patches * patch
                )
                nuclei = nuclei_level * (one + half * white_texture * even)
                # Amygdala, hippocampus and cingulum lie as deep as the nuclei, but are cortex.
                nuclei += (cortex - nuclei) * lobe
                fluid = fluid_level + flow * min(max(spot - np.float32(1.2), np.float32(0)), one)
                if tissue[4][i, j, k] > np.float32(0.7) and spot > one:
                    fluid = choroid
                if tissue[5][i, j, k] < residue_mm and spot > residue_from:
                    fluid = residue
                signal = (
                    tissue[0][i, j, k] * white
                    + tissue[1][i, j, k] * cortex
                    + tissue[2][i, j, k] * nuclei
                    + fluid_share * fluid
                )
                solid = one - fluid_share
                coat = min(max(np.float32(2.5) * tissue[10][i, j, k] * solid, np.float32(0)), one)
                uneven = np.float32(0.7) + np.float32(0.3) * patch
                signal += rim * coat * min(max(uneven, np.float32(0)), np.float32(1.3))
                middle = (np.float32(2.5) - tissue[7][i, j, k]) / np.float32(1.5)
                wall = (np.float32(5) - near) * half
                signal += (
                    septum
                    * min(max(middle, np.float32(0)), one)
                    * min(max(wall, np.float32(0)), one)
                    * solid
                )
                result[i, j, k] = signal
    return result
