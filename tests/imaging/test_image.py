"""The image type."""

import numpy as np
import pytest

from lesion_dynamics.imaging.image import Image


def test_an_image_has_three_dimensions():
    with pytest.raises(ValueError, match="three dimensions"):
        Image(voxels=np.zeros((2, 2)), affine=np.eye(4))


def test_other_voxels_keep_the_grid_and_must_fit_it(grid):
    affine, volume = grid
    image = Image(voxels=np.zeros((2, 3, 4)), affine=affine)
    other = image.with_voxels(np.ones((2, 3, 4)))
    assert other.on_same_grid_as(image)
    assert other.voxel_volume_mm3 == pytest.approx(volume)
    with pytest.raises(ValueError, match="does not fit"):
        image.with_voxels(np.ones((4, 3, 2)))


def test_other_voxels_do_not_share_the_affine():
    image = Image(voxels=np.zeros((2, 3, 4)), affine=np.eye(4))
    image.with_voxels(np.ones((2, 3, 4))).affine[0, 3] = 5
    assert image.affine[0, 3] == 0
