"""Geometry formulas against known mm3 and mm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesion_dynamics.imaging.geometry import (
    largest_corner_distance_mm,
    same_grid,
    voxel_sizes_mm,
    voxel_volume_mm3,
)


def test_voxel_volume_is_the_known_one_on_every_kind_of_grid(grid):
    affine, volume = grid
    assert voxel_volume_mm3(affine) == pytest.approx(volume, rel=1e-12)


def test_a_sheared_voxel_is_smaller_than_the_product_of_its_edges(sheared_affine):
    assert np.prod(voxel_sizes_mm(sheared_affine)) == pytest.approx(2.0)
    assert voxel_volume_mm3(sheared_affine) == pytest.approx(1.6)


def test_voxel_sizes_survive_rotation(oblique_affine):
    assert voxel_sizes_mm(oblique_affine) == pytest.approx((0.5, 1.25, 4.0))


def test_volume_is_positive_whatever_way_the_axes_point():
    assert voxel_volume_mm3(np.diag([-1.0, 1.0, 2.0, 1.0])) == 2.0


@given(st.tuples(*[st.floats(0.1, 5) for _ in range(3)]), st.floats(-3, 3))
def test_volume_does_not_change_with_shear(sizes, shear):
    affine = np.diag([*sizes, 1.0])
    affine[0, 1] = shear
    assert voxel_volume_mm3(affine) == pytest.approx(np.prod(sizes), rel=1e-9)


def test_corner_distance_of_a_shift_is_the_shift():
    moved = np.eye(4)
    moved[:3, 3] = (3, 4, 0)
    assert largest_corner_distance_mm((10, 10, 10), np.eye(4), moved) == pytest.approx(5.0)


def test_corner_distance_of_other_zooms_grows_with_the_grid():
    longer = np.diag([1.0, 1.0, 1.1, 1.0])
    assert largest_corner_distance_mm((5, 5, 11), np.eye(4), longer) == pytest.approx(1.0)


def test_grids_differ_when_shape_or_place_differ():
    moved = np.eye(4)
    moved[0, 3] = 0.01
    nearly = np.eye(4)
    nearly[0, 3] = 0.0005
    shape = (4, 5, 6)
    assert same_grid(shape, np.eye(4), shape, nearly)
    assert not same_grid(shape, np.eye(4), shape, moved)
    assert not same_grid(shape, np.eye(4), (4, 5, 7), np.eye(4))
    assert not same_grid((4, 5, 6, 1), np.eye(4), (4, 5, 6, 1), np.eye(4))
