"""Resampling puts values where they belong, on every kind of grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.resampling import Interpolation, resample

OBLIQUE = np.array(
    [[0.9, 0.2, 0.3, -8.0], [-0.2, 1.1, 0.1, -9.0], [0.1, -0.3, 2.8, -20.0], [0, 0, 0, 1.0]]
)

CENTRED = np.array([[1, 0, 0, -20], [0, 1, 0, -20], [0, 0, 1, -20], [0, 0, 0, 1.0]])


def ramp(shape: tuple[int, int, int], affine: np.ndarray) -> Image:
    """A linear function of world coordinates: 2 x - y + 0.5 z + 3."""
    index = np.indices(shape).reshape(3, -1)
    world = affine[:3, :3] @ index + affine[:3, 3:]
    values = 2 * world[0] - world[1] + 0.5 * world[2] + 3
    return Image(values.reshape(shape).astype(np.float32), affine)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_a_linear_ramp_is_reproduced_on_an_oblique_grid(interpolation: Interpolation) -> None:
    source = ramp((40, 40, 40), CENTRED)
    target = ramp((10, 12, 8), OBLIQUE)
    found = resample(
        source,
        shape=target.shape,
        affine=OBLIQUE,
        image_from_target=np.eye(4),
        interpolation=interpolation,
    )
    inside = between_centres(source, target)
    assert 0.8 < inside.mean() < 1
    # The spline's mirror boundary bends the outermost voxels of a ramp.
    core = ndimage.binary_erosion(inside, iterations=2) if interpolation == "cubic" else inside
    np.testing.assert_allclose(found.voxels[core], target.voxels[core], atol=2e-2)


def between_centres(source: Image, target: Image) -> np.ndarray:
    """Voxels of `target` that lie between voxel centres of `source`."""
    voxel = np.linalg.inv(source.affine) @ target.affine
    index = voxel[:3, :3] @ np.indices(target.shape).reshape(3, -1) + voxel[:3, 3:]
    last = np.array(source.shape)[:, None] - 1
    inside: np.ndarray = ((index >= 0) & (index <= last)).all(axis=0).reshape(target.shape)
    return inside


def test_a_motion_is_composed_in_the_stated_direction() -> None:
    source = ramp((40, 40, 40), CENTRED)
    motion = np.eye(4)
    motion[:3, 3] = [1.25, -0.5, 2.0]
    found = resample(
        source,
        shape=(10, 10, 10),
        affine=np.eye(4),
        image_from_target=motion,
        interpolation="linear",
    )
    # A target point p has the value of the source at p + shift.
    expected = ramp((10, 10, 10), np.eye(4)).voxels + 2 * 1.25 + 0.5 + 0.5 * 2.0
    np.testing.assert_allclose(found.voxels, expected, atol=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_grids_that_coincide_are_copied_and_equal_the_interpolated_result(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (7, 9, 11)
    turn = np.zeros((3, 3))
    turn[np.arange(3), rng.permutation(3)] = rng.choice([-1, 1], 3) * 1.5
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, rng.integers(-9, 9, 3) * 1.5
    source = Image(rng.normal(size=shape).astype(np.float32), affine)
    target = np.diag([1.5, 1.5, 1.5, 1.0])
    corners = affine[:3, :3] @ (np.array(shape) - 1) + affine[:3, 3]
    target[:3, 3] = np.minimum(corners, affine[:3, 3]) + rng.integers(-3, 4, 3) * 1.5
    found = resample(
        source,
        shape=(10, 12, 9),
        affine=target,
        image_from_target=np.eye(4),
        interpolation="linear",
    )
    inverse = np.linalg.inv(affine) @ target
    expected = ndimage.affine_transform(
        source.voxels, inverse[:3, :3], offset=inverse[:3, 3], output_shape=(10, 12, 9), order=1
    )
    np.testing.assert_allclose(found.voxels, expected, atol=1e-6)
    assert np.isin(found.voxels[found.voxels != 0], source.voxels).all()


def test_nearest_keeps_labels_and_their_type() -> None:
    labels = np.random.default_rng(1).integers(0, 2, (9, 9, 9)).astype(np.uint8)
    found = resample(
        Image(labels, np.eye(4)),
        shape=(9, 9, 9),
        affine=np.eye(4),
        image_from_target=np.array([[1, 0, 0, 0.3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
        interpolation="nearest",
    )
    assert found.voxels.dtype == np.uint8
    # The last plane lies 0.3 voxels beyond the last centre, which is within that voxel.
    np.testing.assert_array_equal(found.voxels, labels)


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_a_voxel_reaches_half_an_edge_beyond_its_centre_and_no_further(
    interpolation: Interpolation,
) -> None:
    slab = Image(np.full((4, 4, 4), 7.0, dtype=np.float32), np.diag([1, 1, 3.0, 1]))
    fine = np.diag([1, 1, 0.75, 1.0])
    fine[2, 3] = -3.0
    found = resample(
        slab,
        shape=(4, 4, 20),
        affine=fine,
        image_from_target=np.eye(4),
        interpolation=interpolation,
    )
    depth = -3.0 + 0.75 * np.arange(20)
    expected = np.where((depth >= -1.5) & (depth <= 9 + 1.5), 7.0, 0.0)
    clear = ~(np.isclose(depth, -1.5) | np.isclose(depth, 10.5))
    np.testing.assert_allclose(found.voxels[1, 1][clear], expected[clear], rtol=1e-5)


def test_rounding_errors_of_an_affine_lose_no_slice() -> None:
    values = Image(np.random.default_rng(2).normal(5, 1, (6, 7, 8)).astype(np.float32), OBLIQUE)
    turn = np.eye(4)
    turn[:3, 3] = [1e-3, -1e-3, 1e-3]
    found = resample(
        values, shape=values.shape, affine=OBLIQUE, image_from_target=turn, interpolation="linear"
    )
    np.testing.assert_allclose(found.voxels, values.voxels, atol=0.05)
