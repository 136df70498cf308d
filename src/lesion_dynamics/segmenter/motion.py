"""A head that moved while it was scanned: torchio's motion and ghosting on one patch.

Source: Shaw et al. 2019 (proceedings.mlr.press/v102/shaw19a.html) for the motion; both act in
k-space. A patch stands for the whole field of view: what leaves it on one side comes back on the
other, as aliasing does.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

Floats = NDArray[np.float64]


def moved_while_scanned(
    patch: Tensor, *, degrees: Floats, voxels: Floats, times: Floats, axis: int
) -> Tensor:
    """One sequence's patch, (n, n, n) float32, k-space filled in line by line along ``axis``.

    degrees, voxels : (movements, 3) pose after each movement, against the first one, about the
    middle. times : (movements,) rising shares of the scan at which they happen. The pose that
    holds the middle of k-space is taken for the first one, so that the head stays where the
    reference has it.
    """
    import torchio as tio

    movement = tio.Motion(
        degrees=degrees, translation=voxels, times=times, image_interpolation="linear"
    )
    # torchio fills k-space along the last axis. What a movement brings into the patch is what lay
    # at its edge: the patch's own faces would be seen as bright planes.
    margin = margin_voxels(patch.shape[-1], degrees=degrees, voxels=voxels)
    around = pad(patch.movedim(axis, -1)[None, None], [margin] * 6, mode="replicate")[0]
    # It turns about the world's origin.
    middle = np.eye(4)
    middle[:3, 3] = -0.5 * (around.shape[-1] - 1)
    image = tio.ScalarImage(tensor=around, affine=middle)
    moved: Tensor = movement(image).data[0]
    inner = slice(margin, margin + patch.shape[-1])
    return moved[inner, inner, inner].movedim(-1, axis)


def margin_voxels(size: int, *, degrees: Floats, voxels: Floats) -> int:
    """How far the movements reach at the faces of a patch of edge ``size``."""
    # A turn about each axis moves the middle of an edge by up to half the patch times its angle.
    turned = 0.5 * size * np.sin(np.radians(np.minimum(np.abs(degrees).sum(axis=1), 90.0)))
    return math.ceil(float((turned + np.abs(voxels).max(axis=1)).max()))


def ghosted(patch: Tensor, *, ghosts: int, strength: float, axis: int) -> Tensor:
    """One sequence's patch, (n, n, n) float32, with copies of itself along ``axis``.

    strength : 0 leaves it as it is, 1 takes away every ``ghosts``-th plane of k-space.
    """
    import torchio as tio

    image = tio.ScalarImage(tensor=patch[None].contiguous())
    ghosting = tio.Ghosting(num_ghosts=ghosts, axis=axis, intensity=strength, restore=None)
    result: Tensor = ghosting(image).data[0]
    return result
