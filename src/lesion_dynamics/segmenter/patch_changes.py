"""What augmentation does to a patch, without any chance in it: plain acts on tensors.

Patches are (channels, n, n, n) float32. Everything separable is done axis by axis, and nothing
leaves torch: these run in the loading processes, one patch after the other, on one thread.
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

BIAS_FIELD_ORDER = 3
BIAS_FIELD_TERMS = tuple(
    (i, j, k)
    for i, j, k in itertools.product(range(BIAS_FIELD_ORDER + 1), repeat=3)
    if i + j + k <= BIAS_FIELD_ORDER
)
"""Exponents of x, y and z of the polynomial's terms: 20 for the third order."""


def rotation_and_scaling(degrees: Tensor, scales: Tensor) -> Tensor:
    """(3, 3) matrix: scale along the axes, then turn about x, y and z in this order."""
    matrix = torch.diag(scales.to(torch.float64))
    for axis, angle in enumerate(torch.deg2rad(degrees.to(torch.float64)).tolist()):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = torch.eye(3, dtype=torch.float64)
        turn[first, first] = turn[second, second] = math.cos(angle)
        turn[first, second], turn[second, first] = -math.sin(angle), math.sin(angle)
        matrix = turn @ matrix
    return matrix


def sampling_grid(
    shape: torch.Size, matrix: Tensor, *, displacement: Tensor | None = None
) -> Tensor:
    """Where each voxel v (from the centre) of a patch comes from: ``matrix @ v`` + displacement.

    shape : (channels, n, n, n). displacement : (3, n, n, n) in voxels, at every voxel v; None is
    none. As grid_sample takes it.
    """
    # grid_sample counts axes from the last one.
    theta = torch.zeros(1, 3, 4)
    theta[0, :, :3] = matrix.flip((0, 1))
    grid = affine_grid(theta, [1, 1, *shape[1:]], align_corners=True)
    if displacement is not None:
        in_half_patches = 2.0 / (shape[-1] - 1)
        for axis, along in enumerate(displacement):
            grid[0, ..., 2 - axis] += along * in_half_patches
    return grid


def sampled(patch: Tensor, grid: Tensor, *, nearest: bool) -> Tensor:
    """The patch at the places of :func:`sampling_grid`; outside is 0."""
    mode = "nearest" if nearest else "bilinear"
    return grid_sample(patch[None], grid, mode=mode, padding_mode="zeros", align_corners=True)[0]


def control_points(size: int, spacing: float) -> int:
    """Along an axis: as many as cover ``size`` voxels and the spline's reach beyond them."""
    return math.ceil((size - 1) / spacing) + 3


def spline_displacement(size: int, control: Tensor, *, spacing: float) -> Tensor:
    """Cubic B-spline through (3, k, k, k) displacements of control points, (3, size, size, size).

    spacing : between control points, in voxels; the second one of each axis lies on the first
    voxel. k is `control_points`. A spline never reaches beyond its control points' values.
    """
    weights = _spline_matrix(size, spacing, control.shape[-1])
    field = control @ weights.T  # (3, k, k, size)
    field = weights @ field  # (3, k, size, size)
    return (weights @ field.reshape(*field.shape[:2], -1)).reshape(3, size, size, size)


def bias_field(size: int, coefficients: Tensor) -> Tensor:
    """Exp of a polynomial of x, y, z in [-1, 1], (size, size, size); see `BIAS_FIELD_TERMS`."""
    order = BIAS_FIELD_ORDER + 1
    cube = torch.zeros(order, order, order)
    for (i, j, k), coefficient in zip(BIAS_FIELD_TERMS, coefficients.tolist(), strict=True):
        cube[i, j, k] = coefficient
    powers = _powers(size)
    along_z = cube.reshape(-1, order) @ powers  # (x and y exponents, z)
    along_y = along_z.reshape(order, order, size).transpose(1, 2) @ powers  # (x exponent, z, y)
    field = powers.T @ along_y.transpose(1, 2).reshape(order, -1)
    return field.reshape(size, size, size).exp_()


def along_axis(patch: Tensor, matrix: Tensor, axis: int) -> Tensor:
    """Apply an (n, n) matrix to every line of voxels along a spatial axis (0, 1, 2)."""
    size = patch.shape[-1]
    if axis == 2:
        return patch @ matrix.T
    if axis == 1:
        return matrix @ patch
    return (matrix @ patch.reshape(patch.shape[0], size, -1)).reshape(patch.shape)


def gaussian_blur(patch: Tensor, standard_deviations: Tensor) -> Tensor:
    """Gaussian blur, a standard deviation in voxels for each axis; edges are mirrored."""
    for axis, deviation in enumerate(standard_deviations.tolist()):
        if deviation > 0:
            patch = along_axis(patch, _blur_matrix(patch.shape[-1], deviation), axis)
    return patch


def thick_slices(patch: Tensor, *, axis: int, factor: float) -> Tensor:
    """Slices ``factor`` voxels thick along an axis, each the mean over its thickness, and linear
    interpolation between their centres.
    """
    return along_axis(patch, _slice_matrix(patch.shape[-1], factor), axis)


@functools.cache
def _powers(size: int) -> Tensor:
    """(order + 1, size) powers of the voxel centres' coordinates, which reach from -1 to 1."""
    places = torch.arange(size) - (size - 1) / 2
    places = places / places.max()
    return torch.stack([places**exponent for exponent in range(BIAS_FIELD_ORDER + 1)])


@functools.lru_cache(maxsize=8)
def _spline_matrix(size: int, spacing: float, count: int) -> Tensor:
    """(size, count): weight of every control point at every voxel."""
    distance = (torch.arange(size)[:, None] / spacing + 1 - torch.arange(count)[None, :]).abs()
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance).clamp_min(0) ** 3 / 6
    return torch.where(distance < 1, near, far)


def _blur_matrix(size: int, deviation: float) -> Tensor:
    identity = np.eye(size, dtype=np.float32)
    return torch.from_numpy(gaussian_filter1d(identity, deviation, axis=0))


def _slice_matrix(size: int, factor: float) -> Tensor:
    """(size, size): average over slabs, then interpolate between the slabs' centres."""
    count = max(2, round(size / factor))
    edges = np.linspace(0, size, count + 1)
    lower, upper = np.arange(size), np.arange(size) + 1
    overlap = np.minimum(upper, edges[1:, None]) - np.maximum(lower, edges[:-1, None])
    down = np.clip(overlap, 0, None) / np.diff(edges)[:, None]
    return torch.from_numpy((_interpolation(size, edges) @ down).astype(np.float32))


def _interpolation(size: int, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    centres = (edges[1:] + edges[:-1]) / 2
    unit = np.eye(len(centres))
    places = np.arange(size) + 0.5
    return np.stack([np.interp(places, centres, row) for row in unit], axis=1)
