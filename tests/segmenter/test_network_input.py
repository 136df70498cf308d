"""The network's grid, and the way back to the native FLAIR grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tests.conftest import composed

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan, PreparedSequence
from lesion_dynamics.segmenter.network_input import (
    BACKGROUND_Z,
    BRIGHTEST_Z,
    MISSING_SEQUENCE_Z,
    network_grid,
    network_input,
    on_native_grid,
    on_network_grid,
)
from lesion_dynamics.settings.segmenter import SegmenterSettings

SHAPE = (30, 34, 26)


def settings(*overrides: str) -> SegmenterSettings:
    return SegmenterSettings.model_validate(composed("train", *overrides)["segmenter"])


def oblique(spacing: tuple[float, float, float]) -> np.ndarray:
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", [12, -7, 20], degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag(spacing)
    affine[:3, 3] = [-30, 12, 5]
    return affine


def scan_on(affine: np.ndarray, to_participant: np.ndarray) -> PreparedScan:
    """A ball of textured brain with FLAIR alone."""
    index = np.indices(SHAPE) - (np.array(SHAPE) / 2)[:, None, None, None]
    mask = ((index / (np.array(SHAPE) / 2.6)[:, None, None, None]) ** 2).sum(axis=0) < 1
    voxels = np.random.default_rng(3).normal(200, 30, SHAPE).astype(np.float32) * mask
    brain = Image(mask.astype(np.uint8), affine)
    flair = PreparedSequence(Image(voxels, affine), np.eye(4))
    return PreparedScan({"FLAIR": flair}, brain, to_participant)


def test_a_scan_with_the_networks_spacing_is_copied_and_not_interpolated() -> None:
    affine = np.diag([-1.5, -1.5, 1.5, 1.0])
    affine[:3, 3] = [40.3, 51.7, -20.1]
    prepared = scan_on(affine, np.eye(4))
    given = network_input(prepared, settings("segmenter.spacing_mm=1.5"))
    inside = given.channels[0][given.brain_mask]
    assert len(inside) == prepared.brain_mask.voxels.sum()
    back = on_native_grid(given.brain_mask.astype(np.float32), given, prepared)
    np.testing.assert_array_equal(back.voxels > 0, prepared.brain_mask.voxels > 0)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.9, 0.9, 3.0)])
def test_the_grid_holds_the_whole_brain_wherever_the_participant_space_lies(
    spacing: tuple[float, float, float],
) -> None:
    motion = oblique((1.0, 1.0, 1.0))
    prepared = scan_on(oblique(spacing), motion)
    shape, affine = network_grid(prepared, spacing_mm=1.2)
    places = np.argwhere(prepared.brain_mask.voxels > 0)
    world = np.c_[places, np.ones(len(places))] @ (motion @ prepared.brain_mask.affine).T
    on_grid = world @ np.linalg.inv(affine).T
    assert (on_grid[:, :3] >= 0).all()
    assert (on_grid[:, :3] <= np.array(shape) - 1).all()
    np.testing.assert_allclose(affine[:3, :3], np.diag([1.2] * 3))


def test_a_mask_comes_home_through_a_moved_oblique_grid() -> None:
    prepared = scan_on(oblique((1.0, 1.0, 1.0)), oblique((1.0, 1.0, 1.0)))
    lesion = np.zeros(SHAPE, dtype=np.uint8)
    lesion[12:19, 14:20, 10:16] = 1
    given = network_input(prepared, settings("segmenter.spacing_mm=0.5"))
    there = on_network_grid(prepared.brain_mask.with_voxels(lesion), prepared, given)
    home = on_native_grid(there.astype(np.float32), given, prepared).voxels >= 0.5
    assert 2 * (home & (lesion > 0)).sum() / (home.sum() + lesion.sum()) > 0.97
    assert abs(int(home.sum()) - int(lesion.sum())) / lesion.sum() < 0.03


def test_outside_of_the_brain_and_missing_sequences_are_constant() -> None:
    given = network_input(scan_on(np.eye(4), np.eye(4)), settings("segmenter.spacing_mm=1.0"))
    assert (given.channels[0][~given.brain_mask] == BACKGROUND_Z).all()
    assert (given.channels[1] == MISSING_SEQUENCE_Z).all()
    inside = given.channels[0][given.brain_mask]
    assert inside.min() >= BACKGROUND_Z
    assert inside.max() <= BRIGHTEST_Z
    assert abs(float(np.median(inside))) < 0.01
