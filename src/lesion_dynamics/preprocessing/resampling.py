"""One resampling, with all transforms composed into it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image

Interpolation = Literal["linear", "nearest", "cubic"]
_Order = Literal[0, 1, 3]
ORDER: dict[Interpolation, _Order] = {"nearest": 0, "linear": 1, "cubic": 3}
_WHOLE_VOXELS = 1e-4
"""Voxel coordinates this close to whole numbers are copied, not interpolated."""


def resample(
    image: Image,
    *,
    shape: tuple[int, ...],
    affine: Affine,
    image_from_target: Affine,
    interpolation: Interpolation,
) -> Image:
    """Values of ``image`` at the voxel centres of another grid; 0 outside of it.

    A voxel reaches half an edge beyond its centre: so far, and no further, the outermost values
    hold. (An image that ends inside the brain loses no half slice, and a grid that differs from
    the image's by rounding errors alone loses no slice at all.)

    Parameters
    ----------
    shape, affine : the target grid; affine is voxel indices to target world (RAS+ mm).
    image_from_target : (4, 4) target world to the image's world.

    Returns
    -------
    An image on the target grid, of the image's type for ``nearest`` and else float32.
    """
    voxel_from_voxel = np.linalg.inv(image.affine) @ image_from_target @ affine
    voxels = image.voxels
    if interpolation != "nearest":
        voxels = voxels.astype(np.float32, copy=False)
    shifted = _copied(voxels, shape, voxel_from_voxel)
    if shifted is None:
        shifted = _interpolated(voxels, shape, voxel_from_voxel, ORDER[interpolation])
    return Image(voxels=shifted, affine=np.array(affine, dtype=np.float64))


def _interpolated(
    voxels: NDArray[Any], shape: tuple[int, ...], voxel_from_voxel: Affine, order: _Order
) -> NDArray[Any]:
    matrix, offset = voxel_from_voxel[:3, :3], voxel_from_voxel[:3, 3]
    values: NDArray[Any] = ndimage.affine_transform(
        voxels, matrix, offset=offset, output_shape=shape, order=order, mode="nearest"
    )
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(shape) - 1)
    reached = corners @ matrix.T + offset
    last = np.array(voxels.shape) - 1
    if (reached < 0).any() or (reached > last).any():
        covered = ndimage.affine_transform(
            np.ones(voxels.shape, dtype=np.uint8),
            matrix,
            offset=offset,
            output_shape=shape,
            order=0,
            mode="grid-constant",
        )
        values *= covered
    return values


def order_of(voxels: NDArray[Any]) -> Literal["C", "F"]:
    """Whether the first axis (F) or the last one lies closest in memory."""
    return "F" if abs(voxels.strides[0]) < abs(voxels.strides[-1]) else "C"


def _copied(
    voxels: NDArray[Any], shape: tuple[int, ...], voxel_from_voxel: Affine
) -> NDArray[Any] | None:
    """The grid's values where it is the image's grid, permuted, mirrored or cut; else None."""
    rounded = np.rint(voxel_from_voxel)
    reach = np.array([*shape, 1.0])
    if (np.abs(voxel_from_voxel - rounded)[:3] @ reach).max() > _WHOLE_VOXELS * max(shape):
        return None
    turn = rounded[:3, :3].astype(int)
    if not (np.abs(turn).sum(axis=0) == 1).all() or not (np.abs(turn).sum(axis=1) == 1).all():
        return None
    # Target axis j runs along image axis source[j], forwards or backwards.
    source = np.abs(turn).argmax(axis=0)
    turned = voxels.transpose(source)
    # In the order of the file, as it lies in memory: across it a copy takes seven times as long.
    result = np.zeros(shape, dtype=voxels.dtype, order=order_of(turned))
    take: list[slice] = []
    put: list[slice] = []
    for axis in range(3):
        start = int(rounded[source[axis], 3])
        if turn[source[axis], axis] < 0:
            turned = np.flip(turned, axis)
            start = turned.shape[axis] - 1 - start
        low = max(0, -start)
        high = min(shape[axis], turned.shape[axis] - start)
        if low >= high:
            return result
        put.append(slice(low, high))
        take.append(slice(low + start, high + start))
    result[tuple(put)] = turned[tuple(take)]
    return result
