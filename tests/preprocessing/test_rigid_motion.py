"""Means of motions and positions from pairs, against closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.preprocessing.motions import motion

from lesion_dynamics.preprocessing.rigid_motion import mean_motion, nearest_rigid, positions

MOTIONS = [
    motion([3, -5, 8], [10, -60, 5]),
    motion([-4, 2, 1], [0, 3, -7]),
    motion([9, 0, -6], [-20, 4, 30]),
    motion([0, 1, 2], [1, 1, 1]),
]


def test_mean_of_a_motion_and_none_is_half_of_it() -> None:
    turn = motion([0, 0, 10.0], [0, 0, 4.0])
    np.testing.assert_allclose(
        mean_motion([np.eye(4), turn]), motion([0, 0, 5.0], [0, 0, 2.0]), atol=1e-9
    )


def test_half_of_a_motion_done_twice_is_the_motion() -> None:
    half = mean_motion([np.eye(4), MOTIONS[0]])
    np.testing.assert_allclose(half @ half, MOTIONS[0], atol=1e-9)


def test_the_mean_does_not_depend_on_the_order_and_moves_with_the_motions() -> None:
    mean = mean_motion(MOTIONS)
    np.testing.assert_allclose(mean_motion(MOTIONS[::-1]), mean, atol=1e-9)
    before, then = motion([20, 30, -10], [5, 6, 7]), motion([-15, 5, 40], [-8, 0, 90])
    moved = mean_motion([then @ each @ before for each in MOTIONS])
    np.testing.assert_allclose(moved, then @ mean @ before, atol=1e-8)


def test_positions_of_two_spaces_are_the_square_root_and_its_inverse() -> None:
    first, second = positions({(0, 1): MOTIONS[0]}, 2)
    np.testing.assert_allclose(first @ first, MOTIONS[0], atol=1e-9)
    np.testing.assert_allclose(first @ second, np.eye(4), atol=1e-9)


def consistent_pairs() -> dict[tuple[int, int], np.ndarray]:
    """World of i to world of j, where MOTIONS take each world to a common one."""
    return {
        (i, j): np.linalg.inv(MOTIONS[j]) @ MOTIONS[i]
        for i, j in itertools.combinations(range(len(MOTIONS)), 2)
    }


def test_positions_explain_pairs_that_agree_and_their_mean_is_none() -> None:
    pairs = consistent_pairs()
    found = positions(pairs, len(MOTIONS))
    for (i, j), pair in pairs.items():
        np.testing.assert_allclose(np.linalg.inv(found[j]) @ found[i], pair, atol=1e-8)
    np.testing.assert_allclose(mean_motion(found), np.eye(4), atol=1e-9)


def test_a_star_of_pairs_is_enough() -> None:
    all_pairs = consistent_pairs()
    star = {(2, j): np.linalg.inv(MOTIONS[j]) @ MOTIONS[2] for j in (0, 1, 3)}
    for ours, theirs in zip(positions(star, 4), positions(all_pairs, 4), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-8)


def test_an_error_of_one_pair_is_shared_out() -> None:
    pairs = {(i, j): np.eye(4) for i, j in itertools.combinations(range(3), 2)}
    pairs[0, 1] = motion([0, 0, 0], [0.9, 0, 0])
    shifts = [position[0, 3] for position in positions(pairs, 3)]
    # Least squares of x0 - x1 = 0.9, x0 - x2 = 0, x1 - x2 = 0 with mean 0.
    np.testing.assert_allclose(shifts, [0.3, -0.3, 0.0], atol=1e-9)


def test_pairs_that_leave_a_space_alone_are_a_defect() -> None:
    with pytest.raises(AssertionError, match="do not connect"):
        positions({(0, 1): np.eye(4)}, 3)


def test_the_nearest_rigid_motion_takes_rounding_and_scale_out() -> None:
    found = nearest_rigid(MOTIONS[0] @ np.diag([1.001, 1.001, 1.001, 1.0]))
    np.testing.assert_allclose(found, MOTIONS[0], atol=1e-9)
