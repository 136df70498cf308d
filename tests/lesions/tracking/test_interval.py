from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lesion_dynamics.lesions.tracking.interval import (
    LabelledSession,
    TrackedInterval,
    TrackedLesion,
    track_interval,
)
from lesion_dynamics.lesions.tracking.noise import VolumeNoise
from lesion_dynamics.settings.lesions_in_time import TrackingRules

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
SHAPE = (40, 36, 32)
RULES = TrackingRules(boundary_mm=0.25)


def mask(*boxes: Box) -> NDArray[np.uint8]:
    voxels = np.zeros(SHAPE, dtype=np.uint8)
    for box in boxes:
        voxels[tuple(slice(*ends) for ends in box)] = 1
    return voxels


def cube(corner: tuple[int, int, int], edge: int) -> Box:
    x, y, z = ((start, start + edge) for start in corner)
    return x, y, z


def tracked(
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    *,
    rules: TrackingRules = RULES,
    noise: VolumeNoise | None = None,
    spacing: float = 1.0,
    connectivity: int = 26,
) -> TrackedInterval:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    one, other = (
        LabelledSession.of_mask(m, connectivity=connectivity)  # type: ignore[arg-type]
        for m in (before, after)
    )
    return track_interval(one, other, affine=affine, rules=rules, noise=noise)


def only(interval: TrackedInterval) -> TrackedLesion:
    assert len(interval.lesions) == 1
    return interval.lesions[0]


A = cube((5, 5, 5), 6)


def test_an_unchanged_lesion_is_stable_with_its_volume_and_place() -> None:
    lesion = only(tracked(mask(A), mask(A), spacing=0.5))
    assert (lesion.change, lesion.earlier, lesion.later) == ("stable", (1,), (1,))
    assert lesion.earlier_volume_mm3 == lesion.later_volume_mm3 == 27.0
    assert lesion.centre_mm == (3.75, 3.75, 3.75)


@pytest.mark.parametrize(("edge", "change"), [(2, "too_small"), (3, "new")])
def test_a_lesion_without_partner_is_new_from_the_least_volume_on(edge: int, change: str) -> None:
    interval = tracked(mask(A), mask(A, cube((20, 20, 20), edge)))
    assert [lesion.change for lesion in interval.lesions] == ["stable", change]
    assert set(np.unique(interval.change_map)) == ({0, 1, 2} if change == "new" else {0, 1})
    assert int((interval.change_map == 2).sum()) == (27 if change == "new" else 0)


def test_exactly_the_least_volume_is_new_and_a_lesion_that_goes_is_resolved() -> None:
    rules = RULES.model_copy(update={"minimum_new_volume_mm3": 27.0})
    gone = tracked(mask(cube((4, 4, 4), 3)), mask(), rules=rules)
    assert only(gone).change == "resolved"
    assert only(gone).later_volume_mm3 == 0.0
    assert int((gone.change_map == 5).sum()) == 27
    back = tracked(mask(), mask(cube((4, 4, 4), 3)), rules=rules)
    assert only(back).change == "new"


def test_two_masks_without_lesions_have_no_lesions() -> None:
    assert tracked(mask(), mask()).lesions == ()


def test_growth_counts_from_the_shell_on_and_its_mirror_is_shrinking() -> None:
    # 6 x 6 x 6 to 6 x 6 x 7: 36 mm3 more. Surface 2/3 of the mean of 216 and 240 faces: 152 mm2.
    grown = mask(((5, 11), (5, 11), (5, 12)))
    for boundary, there, back in ((0.2, "enlarging", "shrinking"), (0.25, "stable", "stable")):
        rules = RULES.model_copy(update={"boundary_mm": boundary})
        lesion = only(tracked(mask(A), grown, rules=rules))
        assert lesion.margin_mm3 == pytest.approx(152 * boundary)
        assert lesion.change == there
        assert only(tracked(grown, mask(A), rules=rules)).change == back
    enlarged = tracked(mask(A), grown, rules=RULES.model_copy(update={"boundary_mm": 0.0}))
    assert int((enlarged.change_map == 3).sum()) == 252


def test_with_a_repeatability_record_the_margin_is_the_lesion_s_part_of_the_scan_s_noise() -> None:
    before = mask(A, cube((20, 20, 20), 3))
    noise = VolumeNoise(noise_mm3=10.0, noise_share=0.05)
    interval = tracked(before, before, noise=noise)
    total = 216 + 27.0
    scan = np.sqrt(10.0**2 + (0.05 * total) ** 2)
    for lesion, volume in zip(interval.lesions, (216.0, 27.0), strict=True):
        expected = 1.96 * np.sqrt(2) * scan * np.sqrt(volume / total)
        assert lesion.margin_mm3 == pytest.approx(expected, abs=1e-3)
    # The variances of the lesions add up to that of the scan.
    assert sum(x.margin_mm3**2 for x in interval.lesions) == pytest.approx(
        (1.96 * scan) ** 2 * 2, rel=1e-4
    )
    grown = mask(((5, 11), (5, 11), (5, 12)), cube((20, 20, 20), 3))
    assert [x.change for x in tracked(before, grown, noise=noise).lesions] == ["stable", "stable"]
    assert [
        x.change
        for x in tracked(before, grown, noise=VolumeNoise(noise_mm3=5.0, noise_share=0.0)).lesions
    ] == ["enlarging", "stable"]


def test_lesions_that_merge_and_one_that_splits_are_one_family_with_a_volume_change() -> None:
    two = mask(((4, 8), (4, 8), (4, 8)), ((10, 14), (4, 8), (4, 8)))
    one = mask(((4, 14), (4, 8), (4, 8)))
    merged = only(tracked(two, one))
    assert (merged.change, merged.volume_change) == ("merged", "stable")
    assert (merged.earlier, merged.later) == ((1, 2), (1,))
    assert (merged.earlier_volume_mm3, merged.later_volume_mm3) == (128.0, 160.0)
    split = only(tracked(one, two))
    assert (split.change, split.earlier, split.later) == ("split", (1,), (1, 2))
    swollen = only(tracked(two, one, rules=RULES.model_copy(update={"boundary_mm": 0.05})))
    assert (swollen.change, swollen.volume_change) == ("merged", "enlarging")
    assert set(np.unique(tracked(two, one).change_map)) == {0, 1}


def test_a_lesion_that_moved_by_a_voxel_off_itself_is_the_same_within_the_tolerance() -> None:
    before, after = mask(((4, 6), (4, 9), (4, 9))), mask(((6, 8), (4, 9), (4, 9)))
    assert only(tracked(before, after)).change == "stable"
    strict = RULES.model_copy(update={"tolerance_mm": 0.0})
    assert sorted(x.change for x in tracked(before, after, rules=strict).lesions) == [
        "new", "resolved",
    ]  # fmt: skip
    further = mask(((7, 9), (4, 9), (4, 9)))
    assert len(tracked(before, further).lesions) == 2


def test_the_tolerance_takes_no_neighbour_that_has_a_partner() -> None:
    beside = mask(A, ((12, 16), (5, 11), (5, 11)))
    interval = tracked(mask(A), beside)
    assert [lesion.change for lesion in interval.lesions] == ["stable", "new"]


def test_a_touch_smaller_than_the_share_joins_nobody() -> None:
    before = mask(((4, 10), (4, 10), (4, 10)), ((12, 18), (4, 10), (4, 10)))
    # The first grows a thread that ends in a voxel where the second was.
    after = mask(
        ((4, 10), (4, 10), (4, 10)), ((10, 13), (4, 5), (4, 5)), ((14, 18), (4, 10), (4, 10))
    )
    wide = RULES.model_copy(update={"boundary_mm": 3.0})
    assert [x.change for x in tracked(before, after, rules=wide).lesions] == ["stable", "stable"]
    any_touch = wide.model_copy(update={"overlap_share": 0.001})
    assert only(tracked(before, after, rules=any_touch)).change == "merged"


def test_a_new_lesion_that_grows_together_with_an_old_one_is_new() -> None:
    after = mask(A, ((11, 16), (6, 10), (6, 10)))
    old, new = tracked(mask(A), after).lesions
    assert (old.change, old.joined, new.change, new.joined) == ("stable", False, "new", True)
    assert new.later == old.later == (1,)
    # What lies within 2.5 mm of the core, which begins 3 mm from the old lesion, belongs to it.
    assert (old.later_volume_mm3, new.later_volume_mm3) == (216.0, 80.0)
    far = RULES.model_copy(update={"joined_distance_mm": 6.0})
    assert only(tracked(mask(A), after, rules=far)).change == "enlarging"


def test_growth_on_all_sides_is_no_new_lesion() -> None:
    lesion = only(tracked(mask(cube((10, 10, 10), 8)), mask(cube((8, 8, 8), 12))))
    assert (lesion.change, lesion.joined) == ("enlarging", False)


def test_the_connectivity_makes_the_lesions() -> None:
    corner = mask(cube((4, 4, 4), 3), cube((7, 7, 7), 3))
    assert len(tracked(corner, corner, connectivity=6).lesions) == 2
    assert len(tracked(corner, corner, connectivity=26).lesions) == 1


def test_other_grids_are_refused() -> None:
    one = LabelledSession.of_mask(mask(A), connectivity=26)
    other = LabelledSession.of_mask(mask(A)[:-1], connectivity=26)
    with pytest.raises(ValueError, match="shapes differ"):
        track_interval(one, other, affine=np.eye(4), rules=RULES)


def test_volumes_add_up_and_the_order_of_the_axes_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    masks = [(rng.random(SHAPE) < 0.12).astype(np.uint8) for _ in range(2)]
    # Of two equally near lesions the first is taken, whichever the axes make the first.
    rules = RULES.model_copy(update={"tolerance_mm": 0.0, "joined_distance_mm": 6.0})
    straight = tracked(masks[0], masks[1], rules=rules)
    turned = tracked(masks[0].transpose(2, 0, 1), masks[1].transpose(2, 0, 1), rules=rules)
    for interval in (straight, turned):
        assert sum(x.earlier_volume_mm3 for x in interval.lesions) == masks[0].sum()
        assert sum(x.later_volume_mm3 for x in interval.lesions) == masks[1].sum()
    assert sorted(x.later_volume_mm3 for x in straight.lesions) == sorted(
        x.later_volume_mm3 for x in turned.lesions
    )
    assert np.array_equal(turned.change_map, straight.change_map.transpose(2, 0, 1))


def test_the_known_boxes_of_two_sessions_give_what_the_whole_arrays_give() -> None:
    rng = np.random.default_rng(3)
    for _ in range(4):  # lesions of either session reach beyond the box of the other
        masks = [
            mask(*(cube(tuple(rng.integers(2, 24, 3)), int(rng.integers(2, 7))) for _ in range(9)))
            for _ in range(2)
        ]
        known = [LabelledSession.of_mask(m, connectivity=26) for m in masks]
        whole = [LabelledSession(one.labels, one.count) for one in known]
        assert all(one.box is not None for one in known)
        found, right = (
            track_interval(*two, affine=np.eye(4), rules=RULES) for two in (known, whole)
        )
        assert found.lesions == right.lesions
        np.testing.assert_array_equal(found.change_map, right.change_map)
