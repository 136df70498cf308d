"""Agreement on masks whose overlap is counted by hand; every empty case by name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lesion_dynamics.lesions.agreement import SIZE_BINS, agreement, summarise

MASKS = hnp.arrays(np.uint8, (4, 5, 6), elements=st.integers(0, 1))
EMPTY = np.zeros((20, 20, 20), dtype=np.uint8)


def _mask(*blocks):
    mask = EMPTY.copy()
    for block in blocks:
        mask[block] = 1
    return mask


def _agreement(reference, predicted, *, volume=1.0, minimum=0.0, affine=None):
    return agreement(
        reference,
        predicted,
        voxel_volume_mm3=volume,
        connectivity=26,
        minimum_lesion_volume_mm3=minimum,
        affine=affine,
    )


LINE_OF_10 = np.s_[2, 2, 2:12]
CUBE_OF_27 = np.s_[8:11, 8:11, 8:11]
SPECK = np.s_[15, 15, 15]


def test_every_measure_of_a_counted_example():
    reference = _mask(LINE_OF_10, CUBE_OF_27)
    predicted = _mask(np.s_[2, 2, 2:7], SPECK)
    found = _agreement(reference, predicted, volume=2.0)
    assert found.dice == pytest.approx(2 * 5 / (37 + 6))
    assert found.lesion_sensitivity == 0.5
    assert found.lesion_precision == 0.5
    assert found.lesion_f1 == 0.5
    assert found.reference_volume_mm3 == 74
    assert found.predicted_volume_mm3 == 12
    assert found.volume_difference_mm3 == -62
    assert found.false_positive_volume_mm3 == 2
    assert (found.reference_lesion_count, found.detected_lesion_count) == (2, 1)
    assert (found.predicted_lesion_count, found.true_predicted_lesion_count) == (2, 1)


def test_both_empty_is_undefined_and_not_perfect():
    found = _agreement(EMPTY, EMPTY, affine=np.eye(4))
    assert (found.dice, found.lesion_f1, found.hd95_mm) == (None, None, None)
    assert (found.lesion_sensitivity, found.lesion_precision) == (None, None)
    assert (found.volume_difference_mm3, found.false_positive_volume_mm3) == (0, 0)


def test_false_positives_on_a_lesion_free_scan_are_punished():
    found = _agreement(EMPTY, _mask(CUBE_OF_27), affine=np.eye(4))
    assert (found.dice, found.lesion_precision, found.lesion_f1) == (0, 0, 0)
    assert (found.lesion_sensitivity, found.hd95_mm) == (None, None)
    assert found.false_positive_volume_mm3 == 27


def test_a_wholly_missed_scan_is_punished():
    found = _agreement(_mask(CUBE_OF_27), EMPTY, affine=np.eye(4))
    assert (found.dice, found.lesion_sensitivity, found.lesion_f1) == (0, 0, 0)
    assert (found.lesion_precision, found.hd95_mm) == (None, None)
    assert found.volume_difference_mm3 == -27


@pytest.mark.parametrize(("length", "detected"), [(1, 1), (0, 0)])
def test_a_tenth_of_a_lesion_is_enough_to_detect_it(length, detected):
    predicted = _mask(np.s_[2, 2, 2 : 2 + length], SPECK)
    assert _agreement(_mask(LINE_OF_10), predicted).detected_lesion_count == detected


def test_one_voxel_of_a_large_lesion_does_not_detect_it():
    assert _agreement(_mask(CUBE_OF_27), _mask(np.s_[9, 9, 9])).detected_lesion_count == 0


def test_a_prediction_that_floods_the_image_has_no_true_lesion():
    found = _agreement(_mask(CUBE_OF_27), np.ones_like(EMPTY))
    assert found.lesion_sensitivity == 1
    assert found.lesion_precision == 0


def test_two_halves_detect_a_lesion_together():
    predicted = _mask(np.s_[8, 8:11, 8], np.s_[10, 8:11, 10])
    found = _agreement(_mask(CUBE_OF_27), predicted)
    assert found.detected_lesion_count == 1
    assert found.true_predicted_lesion_count == 2


def test_the_minimum_volume_is_applied_to_both_masks_alike():
    reference = _mask(CUBE_OF_27, SPECK)
    predicted = _mask(CUBE_OF_27, np.s_[2, 2, 2:4])
    strict = _agreement(reference, predicted, minimum=3)
    assert (strict.dice, strict.lesion_f1) == (1, 1)
    assert strict.reference_volume_mm3 == strict.predicted_volume_mm3 == 27
    assert _agreement(reference, predicted).lesion_f1 == 0.5


def test_lesions_are_counted_by_the_size_of_the_reference_lesion():
    reference = _mask(SPECK, CUBE_OF_27, np.s_[0:6, 0:6, 0:6])
    predicted = _mask(CUBE_OF_27, np.s_[0:6, 0:6, 0:3])
    found = _agreement(reference, predicted, volume=5.0)
    assert SIZE_BINS[0] == "under_14_mm3"
    assert found.reference_lesions_by_size == (1, 0, 1, 1)
    assert found.detected_lesions_by_size == (0, 0, 1, 1)


def test_a_lesion_of_exactly_14_mm3_is_not_under_14():
    assert _agreement(_mask(np.s_[0, 0, 0:7]), EMPTY, volume=2.0).reference_lesions_by_size == (
        0, 1, 0, 0,
    )  # fmt: skip


@settings(deadline=None)
@given(MASKS, MASKS)
def test_swapping_the_masks_swaps_sensitivity_and_precision(reference, predicted):
    forward, back = _agreement(reference, predicted), _agreement(predicted, reference)
    assert forward.dice == back.dice
    assert forward.lesion_f1 == back.lesion_f1
    assert forward.lesion_sensitivity == back.lesion_precision
    assert forward.volume_difference_mm3 == -back.volume_difference_mm3


@settings(deadline=None)
@given(MASKS)
def test_a_mask_agrees_with_itself(mask):
    found = _agreement(mask, mask, affine=np.eye(4))
    assert found.dice in (1.0, None)
    assert found.lesion_f1 == found.dice
    assert found.hd95_mm == (0.0 if mask.any() else None)
    assert found.false_positive_volume_mm3 == 0


def test_masks_on_other_grids_are_refused():
    with pytest.raises(ValueError, match="shapes differ"):
        _agreement(EMPTY, EMPTY[:5])


def test_a_summary_says_how_many_scans_each_mean_leaves_out():
    perfect = _agreement(_mask(CUBE_OF_27), _mask(CUBE_OF_27))
    missed = _agreement(_mask(LINE_OF_10), EMPTY)
    free = _agreement(EMPTY, _mask(LINE_OF_10))
    nothing = _agreement(EMPTY, EMPTY)
    summary = summarise([perfect, missed, free, nothing])
    assert summary["mean_dice"] == pytest.approx(1 / 3)
    assert summary["dice_undefined_count"] == 1
    assert summary["mean_lesion_sensitivity"] == 0.5
    assert summary["lesion_sensitivity_undefined_count"] == 2
    assert summary["lesion_precision_undefined_count"] == 2
    assert summary["lesion_free_scan_count"] == 2
    assert summary["mean_false_positive_volume_lesion_free_mm3"] == 5
    assert summary["mean_absolute_volume_difference_mm3"] == 5
    assert summary["mean_volume_difference_mm3"] == 0
    assert summary["lesion_count_14_to_100_mm3"] == 1
    assert summary["lesion_sensitivity_14_to_100_mm3"] == 1
    assert summary["lesion_sensitivity_under_14_mm3"] == 0
    assert "mean_hd95_mm" not in summary


def test_an_undefined_distance_is_counted_and_never_a_number():
    pair = [
        _agreement(_mask(CUBE_OF_27), _mask(CUBE_OF_27), affine=np.eye(4)),
        _agreement(_mask(CUBE_OF_27), EMPTY, affine=np.eye(4)),
    ]
    summary = summarise(pair)
    assert (summary["mean_hd95_mm"], summary["hd95_mm_undefined_count"]) == (0, 1)
    assert "mean_hd95_mm" not in summarise(pair[1:])


def test_no_number_of_a_summary_is_ever_nan():
    for agreements in ([], [_agreement(EMPTY, EMPTY, affine=np.eye(4))]):
        assert np.isfinite(list(summarise(agreements).values())).all()


def test_precision_and_f1_by_size_pool_the_predicted_lesions_by_their_own_size():
    """A cube of 27 found by 30 voxels, a line of 10 missed, a speck and a bar of 16 invented."""
    reference = _mask(LINE_OF_10, CUBE_OF_27)
    predicted = _mask(np.s_[8:11, 8:11, 8:11], np.s_[8, 8, 11:14], SPECK, np.s_[18, 2, 2:18])
    found = _agreement(reference, predicted)
    assert found.predicted_lesions_by_size == (1, 2, 0, 0)
    assert found.true_predicted_lesions_by_size == (0, 1, 0, 0)
    summary = summarise([found, found])
    assert summary["lesion_precision_14_to_100_mm3"] == 0.5
    assert summary["lesion_f1_14_to_100_mm3"] == pytest.approx(2 / 3)
    assert summary["lesion_precision_under_14_mm3"] == 0
    assert summary["lesion_f1_under_14_mm3"] == 0
    assert summary["predicted_lesion_count_14_to_100_mm3"] == 4
    # Nothing of this size in either mask: no ratio, and no F1.
    assert summary["predicted_lesion_count_100_to_1000_mm3"] == 0
    assert not {n for n in summary if n.endswith("_100_to_1000_mm3") and "count" not in n}


def test_lesions_found_as_lesions_of_another_size_leave_their_f1_undefined():
    """A block of 128 mm3 of which 16 mm3 are found, enough to count: nothing is missed."""
    reference, predicted = _mask(np.s_[4:12, 4:8, 4:8]), _mask(np.s_[4:12, 4:5, 4:6])
    summary = summarise([_agreement(reference, predicted)])
    assert summary["lesion_sensitivity_100_to_1000_mm3"] == 1
    assert summary["lesion_precision_14_to_100_mm3"] == 1
    assert not {name for name in summary if name.startswith("lesion_f1_") and "count" not in name}
    missed = summarise([_agreement(reference, EMPTY)])
    assert missed["lesion_f1_100_to_1000_mm3"] == 0
