"""The same voxels in another order of axes: nothing is interpolated, nothing is lost."""

from __future__ import annotations

import nibabel as nib
import numpy as np

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image


def reordered_to(image: Image, affine: Affine) -> Image:
    """``image`` with its axes permuted and flipped into the order of another grid's ``affine``.

    Each voxel keeps its place in the world. Tools that work in a fixed orientation hand their
    masks back like this. Whether the result lies on the other grid is not checked here.
    """
    order = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(image.affine), nib.orientations.io_orientation(affine)
    )
    moved = image.affine @ nib.orientations.inv_ornt_aff(order, image.shape)
    voxels = np.ascontiguousarray(nib.orientations.apply_orientation(image.voxels, order))
    return Image(voxels=voxels, affine=np.asarray(moved, dtype=np.float64))
