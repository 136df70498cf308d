"""The mask of a skull-stripped image, against scipy's labels and hole filling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.brain_mask import brain_of_stripped


@pytest.mark.parametrize("seed", range(6))
def test_the_largest_body_with_its_holes_filled_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(32, 28, 30)), 1.5)
    body = smooth > np.quantile(smooth, 0.6)
    body[:2] = body[-1:] = False  # enough background at the border; other sides are touched
    body[:, :1] = body[..., :1] = False
    found = brain_of_stripped(Image(body.astype(np.float32) * 50, np.eye(4)))
    labels, _ = ndimage.label(body)
    largest = labels == 1 + int(np.bincount(labels.ravel())[1:].argmax())
    expected = ndimage.binary_fill_holes(largest)
    assert largest.sum() < body.sum()
    np.testing.assert_array_equal(found.voxels, expected)
