"""Chains of affine maps and displacement fields, and one resampling through all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.resampling import ORDER, Interpolation, resample

_SLAB_VOXELS = 1_000_000
_SPLINE_REACH = 12  # voxels after which a border no longer shows in a cubic spline
_MOST_ROUNDS = 60
_INVERTED_MM = 1e-4


@dataclass(frozen=True, slots=True)
class Warp:
    """A smooth map of world points: ``p -> p + displacement(p)``, trilinear between its nodes.

    displacement_mm : (x, y, z, 3) float32, RAS+ mm; beyond the grid the outermost values hold.
    affine : (4, 4), indices of the grid to the world (RAS+ mm) of the points that go in.
    """

    displacement_mm: NDArray[np.float32]
    affine: Affine

    def moved(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (3, n) after the map."""
        index = _applied(np.linalg.inv(self.affine), points)
        return points + np.stack(
            [
                ndimage.map_coordinates(
                    self.displacement_mm[..., axis], index, order=1, mode="nearest"
                )
                for axis in range(3)
            ]
        )

    def inverse(self) -> Warp:
        """The map back, on the same grid, by fixed-point iteration.

        Raises
        ------
        ValueError : the displacement folds space, so there is no way back.
        """
        shape = self.displacement_mm.shape[:3]
        nodes = _applied(self.affine, np.indices(shape).reshape(3, -1).astype(np.float64))
        found = nodes.copy()
        for _ in range(_MOST_ROUNDS):
            error = nodes - self.moved(found)
            found += error
            if np.abs(error).max() < _INVERTED_MM:
                break
        else:
            raise ValueError("the displacement has no inverse")
        displacement = (found - nodes).T.reshape(*shape, 3)
        return Warp(displacement.astype(np.float32), self.affine)

    def jacobian(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Volume after the map over volume before it, at points (3, n)."""
        components = np.moveaxis(self.displacement_mm.astype(np.float64), -1, 0)
        # (x, y, z, component, index axis)
        gradient = np.stack(
            [np.stack(np.gradient(component, axis=(0, 1, 2)), axis=-1) for component in components],
            axis=-2,
        )
        matrices = np.eye(3) + gradient @ np.linalg.inv(self.affine[:3, :3])
        index = _applied(np.linalg.inv(self.affine), points)
        determinants = np.linalg.det(matrices)
        return np.asarray(
            ndimage.map_coordinates(determinants, index, order=1, mode="nearest"),
            dtype=np.float64,
        )


Step = Affine | Warp
"""An affine map, (4, 4) world to world, or a warp."""


def moved(points: NDArray[np.float64], steps: Sequence[Step]) -> NDArray[np.float64]:
    """World points (3, n) after the steps, in their order."""
    for step in steps:
        points = step.moved(points) if isinstance(step, Warp) else _applied(step, points)
    return points


def resample_through(
    image: Image,
    *,
    shape: tuple[int, ...],
    affine: Affine,
    steps: Sequence[Step],
    interpolation: Interpolation,
) -> Image:
    """Values of ``image`` at the voxel centres of another grid, interpolated once; 0 outside.

    The steps are composed as points, not as images: what :func:`resample` does for one affine
    map (its rules for the border hold here too), for a chain with warps in it.

    Parameters
    ----------
    shape, affine : the target grid; affine is voxel indices to target world (RAS+ mm).
    steps : from target world to the image's world, the first one first.
    """
    if not any(isinstance(step, Warp) for step in steps):
        product = np.eye(4)
        for step in steps:
            assert not isinstance(step, Warp)
            product = step @ product
        return resample(
            image,
            shape=shape,
            affine=affine,
            image_from_target=product,
            interpolation=interpolation,
        )
    return Image(
        voxels=_interpolated(image, shape, affine, steps, interpolation),
        affine=np.array(affine, dtype=np.float64),
    )


def _interpolated(
    image: Image,
    shape: tuple[int, ...],
    affine: Affine,
    steps: Sequence[Step],
    interpolation: Interpolation,
) -> NDArray[Any]:
    voxels = image.voxels
    if interpolation != "nearest":
        voxels = voxels.astype(np.float32, copy=False)
    order = ORDER[interpolation]
    coefficients, padded = voxels, 0
    if order > 1:  # once, not again for every slab; padded as scipy pads for this border
        padded = _SPLINE_REACH
        coefficients = ndimage.spline_filter(
            np.pad(voxels, padded, mode="edge"), order, np.float32, mode="nearest"
        )
    result = np.zeros(shape, dtype=voxels.dtype)
    last = np.array(image.shape)[:, None] - 0.5
    to_index = np.linalg.inv(image.affine)
    thick = max(1, _SLAB_VOXELS // (shape[1] * shape[2]))
    for start in range(0, shape[0], thick):
        slab = result[start : start + thick]
        nodes = np.indices(slab.shape).reshape(3, -1).astype(np.float64)
        nodes[0] += start
        index = _applied(to_index, moved(_applied(affine, nodes), steps))
        values = ndimage.map_coordinates(
            coefficients, index + padded, order=order, mode="nearest", prefilter=False
        )
        covered = ((index >= -0.5) & (index <= last)).all(axis=0)
        slab[...] = np.where(covered, values, 0).reshape(slab.shape)
    return result


def _applied(matrix: NDArray[np.floating], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(matrix[:3, :3] @ points + matrix[:3, 3:], dtype=np.float64)
