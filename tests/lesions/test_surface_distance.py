"""HD95 against shifts and points of known distance."""

import numpy as np
import pytest

from lesion_dynamics.lesions.surface_distance import hd95_mm


def _block(start, size=4):
    mask = np.zeros((24, 24, 24), dtype=np.uint8)
    mask[tuple(slice(s, s + size) for s in start)] = 1
    return mask


def _point(*where):
    mask = np.zeros((12, 12, 12), dtype=np.uint8)
    mask[where] = 1
    return mask


def test_equal_masks_have_no_distance():
    assert hd95_mm(_block((3, 3, 3)), _block((3, 3, 3)), affine=np.eye(4)) == 0


def test_the_distance_of_two_points_is_their_distance_in_mm():
    affine = np.diag([0.7, 1.0, 3.0, 1.0])
    assert hd95_mm(_point(1, 1, 1), _point(1, 1, 3), affine=affine) == pytest.approx(6.0)
    assert hd95_mm(_point(1, 1, 1), _point(5, 1, 1), affine=affine) == pytest.approx(2.8)


def test_the_distance_is_exact_on_a_sheared_grid():
    affine = np.array([[1, 0.6, 0, 0], [0, 0.8, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]])
    assert hd95_mm(_point(1, 1, 1), _point(2, 2, 1), affine=affine) == pytest.approx(
        np.hypot(1.6, 0.8)
    )


def test_rotation_and_order_do_not_matter():
    angle = np.deg2rad(30)
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    first, second = _block((3, 3, 3)), _block((5, 3, 3), size=6)
    straight = hd95_mm(first, second, affine=np.eye(4))
    assert hd95_mm(first, second, affine=turned) == pytest.approx(straight)
    assert hd95_mm(second, first, affine=np.eye(4)) == straight


def test_one_far_voxel_of_a_thousand_is_ignored():
    first = _block((2, 2, 2), size=10)
    second = first.copy()
    second[23, 23, 23] = 1
    assert hd95_mm(first, second, affine=np.eye(4)) == 0


def test_a_missing_mask_leaves_the_distance_undefined():
    empty = np.zeros((24, 24, 24), dtype=np.uint8)
    full = _block((3, 3, 3))
    for pair in ((empty, full), (full, empty), (empty, empty)):
        assert hd95_mm(*pair, affine=np.eye(4)) is None
