"""Connectivity, threshold and minimum volume on lesions of known mm3."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError
from scipy import ndimage

from lesion_dynamics.lesions.operating_point import (
    label_lesions,
    lesion_mask,
    lesion_voxels,
    without_small_lesions,
)
from lesion_dynamics.settings.operating_point import OperatingPoint

MASKS = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=7), elements=st.integers(0, 1)
)
ORDER_IN_SCIPY = {6: 1, 18: 2, 26: 3}


def _point(threshold=0.5, minimum=0.0, connectivity=26):
    return OperatingPoint(
        probability_threshold=threshold,
        minimum_lesion_volume_mm3=minimum,
        connectivity=connectivity,
    )


@pytest.mark.parametrize(
    ("second", "counts"),
    [
        ((1, 1, 2), {6: 1, 18: 1, 26: 1}),
        ((1, 2, 2), {6: 2, 18: 1, 26: 1}),
        ((2, 2, 2), {6: 2, 18: 2, 26: 1}),
        ((3, 1, 1), {6: 2, 18: 2, 26: 2}),
    ],
)
def test_connectivity_says_which_neighbours_make_one_lesion(second, counts):
    mask = np.zeros((5, 5, 5), dtype=np.uint8)
    mask[1, 1, 1] = mask[second] = 1
    for connectivity, count in counts.items():
        assert label_lesions(mask, connectivity=connectivity)[1] == count


@settings(deadline=None)
@given(MASKS, st.sampled_from([6, 18, 26]))
def test_lesions_are_the_components_that_scipy_finds(mask, connectivity):
    labels, count = label_lesions(mask, connectivity=connectivity)
    structure = ndimage.generate_binary_structure(3, ORDER_IN_SCIPY[connectivity])
    expected, expected_count = ndimage.label(mask, structure)
    assert (labels.dtype, count) == (np.int32, expected_count)
    pairs = {(int(a), int(b)) for a, b in zip(labels.ravel(), expected.ravel(), strict=True)}
    assert len(pairs) == len(np.unique(labels)) == len(np.unique(expected))


def test_two_voxels_apart_in_the_smallest_box_are_two_lesions():
    for connectivity in ORDER_IN_SCIPY:
        line = np.array([1, 0, 1], dtype=bool).reshape(1, 1, 3)
        assert label_lesions(line, connectivity=connectivity)[1] == 2


def test_an_empty_mask_has_no_lesion():
    labels, count = label_lesions(np.zeros((3, 3, 3)), connectivity=6)
    assert (labels.sum(), count) == (0, 0)


def test_a_voxel_at_the_threshold_is_lesion():
    probability = np.array([0.49, 0.5, 0.51], dtype=np.float32).reshape(1, 1, 3)
    mask = lesion_mask(probability, voxel_volume_mm3=1, operating_point=_point())
    assert mask.ravel().tolist() == [0, 1, 1]
    assert mask.dtype == np.uint8


@pytest.mark.parametrize(
    ("minimum", "volume_left"), [(0, 8), (2, 8), (2.1, 6), (6, 6), (6.1, 0), (14, 0)]
)
def test_a_lesion_below_the_minimum_goes_and_one_of_exactly_that_stays(minimum, volume_left):
    # Voxels of 2 mm3: a lesion of 6 mm3 and one of 2 mm3.
    probability = np.zeros((6, 6, 6))
    probability[1, 1, 1:4] = 0.9
    probability[4, 4, 4] = 0.9
    mask = lesion_mask(probability, voxel_volume_mm3=2.0, operating_point=_point(minimum=minimum))
    assert mask.sum() * 2 == volume_left


def test_rounding_in_the_voxel_volume_does_not_drop_a_lesion_of_the_minimum():
    mask = np.zeros((3, 3, 12), dtype=np.uint8)
    mask[1, 1, 1:10] = 1
    kept = without_small_lesions(
        mask, voxel_volume_mm3=1 - 1e-9, minimum_lesion_volume_mm3=9, connectivity=6
    )
    assert kept.sum() == 9


def test_connectivity_reaches_the_minimum_volume():
    mask = np.zeros((4, 4, 4), dtype=np.uint8)
    mask[1, 1, 1] = mask[2, 2, 2] = 1
    for connectivity, left in ((26, 2), (6, 0)):
        kept = without_small_lesions(
            mask, voxel_volume_mm3=1, minimum_lesion_volume_mm3=2, connectivity=connectivity
        )
        assert kept.sum() == left


@settings(deadline=None)
@given(MASKS, st.floats(0, 20), st.sampled_from([6, 18, 26]))
def test_dropping_small_lesions_twice_is_dropping_them_once(mask, minimum, connectivity):
    def drop(voxels):
        return without_small_lesions(
            voxels,
            voxel_volume_mm3=1.3,
            minimum_lesion_volume_mm3=minimum,
            connectivity=connectivity,
        )

    once = drop(mask)
    np.testing.assert_array_equal(drop(once), once)
    assert (once <= mask).all()


@pytest.mark.parametrize(
    "wrong",
    [{"threshold": 0}, {"threshold": 1}, {"minimum": -1}, {"connectivity": 8}],
)
def test_an_impossible_operating_point_is_refused(wrong):
    with pytest.raises(ValidationError):
        _point(**wrong)


@pytest.mark.parametrize("order", ["C", "F"])
@given(mask=MASKS, connectivity=st.sampled_from([6, 18, 26]))
@settings(deadline=None, max_examples=60)
def test_lesions_by_their_voxels_are_those_of_the_whole_image(order, mask, connectivity):
    """Whichever way the mask lies in memory."""
    mask = np.asarray(mask, order=order)
    found = lesion_voxels(mask, connectivity=connectivity)
    whole = np.zeros(mask.shape, dtype=np.int32)
    part = np.zeros(found.shape, dtype=np.int32, order=found.order)
    part.ravel(order=found.order)[found.places] = found.labels
    whole[found.box] = part
    labels, count = label_lesions(mask, connectivity=connectivity)
    assert found.count == count
    np.testing.assert_array_equal(whole > 0, labels > 0)
    # The same lesions, whatever their numbers: a number here is one number there.
    pairs = set(zip(whole[whole > 0], labels[labels > 0], strict=True))
    assert len(pairs) == count
    np.testing.assert_array_equal(
        np.sort(found.sizes), np.sort(np.bincount(labels.ravel(), minlength=count + 1)[1:])
    )


@given(mask=MASKS, minimum=st.sampled_from([0.5, 2.0, 4.0]))
@settings(deadline=None, max_examples=60)
def test_the_way_a_mask_lies_in_memory_changes_no_lesion(mask, minimum):
    kept = [
        without_small_lesions(
            np.asarray(mask, order=order),
            voxel_volume_mm3=1.0,
            minimum_lesion_volume_mm3=minimum,
            connectivity=6,
        )
        for order in ("C", "F")
    ]
    np.testing.assert_array_equal(*kept)
