"""Volumes and counts of masks of known mm3."""

import numpy as np
import pytest

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.lesions.measurement import LesionMeasurement, measure

SHEARED = np.array([[1, 0.6, 0, 5], [0, 0.8, 0, 5], [0, 0, 2, 5], [0, 0, 0, 1.0]])


def test_a_lesion_free_scan_measures_zero():
    empty = Image(voxels=np.zeros((3, 3, 3), dtype=np.uint8), affine=np.eye(4))
    assert measure(empty, connectivity=26) == LesionMeasurement(0.0, 0, 0.0)


def test_volumes_come_from_the_determinant_of_the_affine():
    voxels = np.zeros((6, 6, 6), dtype=np.uint8)
    voxels[1:3, 1:3, 1] = 1
    voxels[4, 4, 4] = 1
    found = measure(Image(voxels=voxels, affine=SHEARED), connectivity=26)
    assert found == LesionMeasurement(8.0, 2, 6.4)


def test_connectivity_reaches_the_count():
    voxels = np.zeros((4, 4, 4), dtype=np.uint8)
    voxels[1, 1, 1] = voxels[2, 2, 2] = 1
    image = Image(voxels=voxels, affine=np.eye(4))
    assert measure(image, connectivity=26).lesion_count == 1
    assert measure(image, connectivity=6).lesion_count == 2


def test_floating_point_noise_in_the_affine_does_not_change_a_volume():
    voxels = np.ones((7, 7, 7), dtype=np.uint8)
    first = Image(voxels=voxels, affine=np.diag([0.1, 0.1, 0.3, 1]))
    second = Image(voxels=voxels, affine=np.diag([0.1, 0.3, 0.1, 1]) * (1 + 1e-12))
    assert measure(first, connectivity=6) == measure(second, connectivity=6)
    assert measure(first, connectivity=6).lesion_volume_mm3 == pytest.approx(1.029)


def test_a_corrected_distortion_scales_volumes_as_a_number_or_voxel_by_voxel() -> None:
    voxels = np.zeros((6, 6, 6), dtype=np.uint8)
    voxels[0, 0, :2] = 1
    voxels[4, 4, :3] = 1
    mask = Image(voxels, np.diag([1.0, 2.0, 3.0, 1.0]))
    halved = measure(mask, connectivity=26, volume_scale=0.5)
    assert halved.lesion_volume_mm3 == 5 * 6 * 0.5
    assert halved.largest_lesion_volume_mm3 == 3 * 6 * 0.5
    scale = np.ones(voxels.shape)
    scale[0] = 2.0
    uneven = measure(mask, connectivity=26, volume_scale=scale)
    assert uneven.lesion_volume_mm3 == 2 * 6 * 2.0 + 3 * 6
    assert uneven.largest_lesion_volume_mm3 == 2 * 6 * 2.0
    assert uneven.lesion_count == 2


@pytest.mark.parametrize("order", ["C", "F"])
def test_each_voxel_counts_as_its_own_volume_however_the_mask_lies_in_memory(order):
    voxels = np.zeros((5, 6, 7), dtype=np.uint8, order=order)
    voxels[1, 2, 3] = voxels[1, 3, 3] = voxels[3, 4, 5] = 1
    scale = np.arange(5 * 6 * 7, dtype=float).reshape(5, 6, 7)
    found = measure(Image(voxels=voxels, affine=np.eye(4)), connectivity=6, volume_scale=scale)
    volumes = [scale[1, 2, 3] + scale[1, 3, 3], scale[3, 4, 5]]
    assert found == LesionMeasurement(sum(volumes), 2, max(volumes))
