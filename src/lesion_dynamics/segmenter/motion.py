"""A head that moved while it was scanned: torchio's motion and ghosting on one patch.

Source: Shaw et al. 2019 (proceedings.mlr.press/v102/shaw19a.html) for the motion; both act in
k-space. A patch stands for the whole field of view: what leaves it on one side comes back on the
other, as aliasing does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]


def moved_while_scanned(
    patch: Tensor, *, degrees: Floats, voxels: Floats, times: Floats, axis: int
) -> Tensor:
    """One sequence's patch, (n, n, n) float32, k-space filled in line by line along ``axis``.

    degrees, voxels : (movements, 3) pose after each movement, against the first one. times :
    (movements,) rising shares of the scan at which they happen. The pose that holds the middle of
    k-space is taken for the first one, so that the head stays where the reference has it.
    """
    import torchio as tio

    movement = tio.Motion(
        degrees=degrees, translation=voxels, times=times, image_interpolation="linear"
    )
    # torchio fills k-space along the last axis.
    image = tio.ScalarImage(tensor=patch.movedim(axis, -1)[None].contiguous())
    moved: Tensor = movement(image).data[0].movedim(-1, axis)
    return moved


def ghosted(patch: Tensor, *, ghosts: int, strength: float, axis: int) -> Tensor:
    """One sequence's patch, (n, n, n) float32, with copies of itself along ``axis``.

    strength : 0 leaves it as it is, 1 takes away every ``ghosts``-th plane of k-space.
    """
    import torchio as tio

    image = tio.ScalarImage(tensor=patch[None].contiguous())
    ghosting = tio.Ghosting(num_ghosts=ghosts, axis=axis, intensity=strength, restore=None)
    result: Tensor = ghosting(image).data[0]
    return result
