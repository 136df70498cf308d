"""Every measure against an image whose noise, ripple, ghost, gap or shift is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan, PreparedSequence
from lesion_dynamics.preprocessing.rigid_motion import typical_displacement_mm
from lesion_dynamics.quality.agreement import dice, residual_z
from lesion_dynamics.quality.catalogue import measures_of
from lesion_dynamics.quality.contrast import contrast_to_noise, three_classes
from lesion_dynamics.quality.coverage import brain_at_edge_mm2, missing_slices
from lesion_dynamics.quality.ghosting import ghosting_percent
from lesion_dynamics.quality.noise import noise_standard_deviation, slice_plane
from lesion_dynamics.quality.ringing import ringing_percent
from lesion_dynamics.quality.scan_measures import measure_participant
from lesion_dynamics.settings.preprocessing import IntensitySettings

SHAPE = (72, 84, 66)
CENTRE = (np.array(SHAPE) - 1) / 2
PLACES = np.indices(SHAPE)
RADII = np.array([28.0, 34.0, 26.0])
CUBE = (1.0, 1.0, 1.0)
INTENSITY = IntensitySettings(lower_percentile=20, upper_percentile=80)


def ball(radii: np.ndarray, shift: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    away = PLACES - (CENTRE + np.array(shift))[:, None, None, None]
    inside: np.ndarray = ((away / radii[:, None, None, None]) ** 2).sum(axis=0) <= 1
    return inside


BRAIN = ball(RADII)


def brain_image(noise: float, seed: int = 3) -> np.ndarray:
    """Fluid 100 in the middle, grey 500 and white 400 around it; noise everywhere."""
    voxels = np.where(BRAIN, 500.0, 0.0)
    voxels[ball(RADII * 0.85)] = 400.0
    voxels[ball(RADII * 0.45)] = 100.0
    voxels += np.random.default_rng(seed).normal(0, noise, SHAPE)
    return voxels.astype(np.float32)


@pytest.mark.parametrize("noise", [5.0, 20.0, 60.0])
def test_a_known_noise_is_found(noise: float) -> None:
    even = 400 + np.random.default_rng(1).normal(0, noise, SHAPE)
    found = noise_standard_deviation(even.astype(np.float32), BRAIN, plane=(0, 1))
    assert found == pytest.approx(noise, rel=0.015)
    # With tissue borders through a fifth of this small brain it may come out higher, not lower.
    found = noise_standard_deviation(brain_image(noise), BRAIN, plane=(0, 1))
    assert 0.99 * noise < found < 1.25 * noise


def test_structure_up_to_the_second_degree_is_no_noise() -> None:
    ramp = (3.0 * PLACES[0] + 0.05 * PLACES[1] ** 2).astype(np.float32)
    assert noise_standard_deviation(ramp, BRAIN, plane=(0, 1)) < 0.02
    assert np.isnan(noise_standard_deviation(ramp, np.zeros(SHAPE, bool), plane=(0, 1)))


def test_slices_lie_across_the_longest_edge() -> None:
    assert slice_plane((0.7, 0.7, 3.0)) == (0, 1)
    assert slice_plane((3.0, 0.7, 0.7)) == (1, 2)
    assert slice_plane((0.9, 3.0, 0.7)) == (0, 2)


def test_three_known_tissues_are_parted_and_their_contrast_is_known() -> None:
    intensities = brain_image(10.0)[BRAIN]
    first, second = three_classes(intensities)
    assert 130 < first < 370
    assert 430 < second < 470
    fluid, grey_white = contrast_to_noise(intensities, noise=10.0, fluid_is_dark=True)
    tissue = np.median(intensities[intensities > 250])
    assert fluid == pytest.approx((tissue - 100) / 10, rel=0.02)
    assert grey_white == pytest.approx(10.0, rel=0.02)
    # In a T2w the order is turned round.
    fluid, grey_white = contrast_to_noise(600 - intensities, noise=10.0, fluid_is_dark=False)
    assert fluid == pytest.approx((tissue - 100) / 10, rel=0.02)
    assert grey_white == pytest.approx(10.0, rel=0.02)
    assert np.isnan(contrast_to_noise(intensities, noise=0.0, fluid_is_dark=True)).all()
    flat = np.ones(50, np.float32)
    assert np.isnan(contrast_to_noise(flat, noise=1.0, fluid_is_dark=True)).all()


def test_proton_density_has_no_contrast_of_fluid_and_every_other_measure() -> None:
    image = Image(brain_image(10.0), np.eye(4))
    one = PreparedSequence(image, np.eye(4))
    scan = PreparedScan(
        {"FLAIR": one, "PDw": one}, Image(BRAIN.astype(np.uint8), np.eye(4)), np.eye(4)
    )
    (found,) = measure_participant([scan], intensity=INTENSITY)
    names = [name.removeprefix("flair_") for name in found if name.startswith("flair_")]
    assert "fluid_contrast_to_noise" in names
    for name in names:
        if name in ("fluid_contrast_to_noise", "grey_white_contrast_to_noise"):
            assert np.isnan(found[f"pdw_{name}"])
            assert np.isfinite(found[f"flair_{name}"])
        else:
            np.testing.assert_equal(found[f"pdw_{name}"], found[f"flair_{name}"])


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("percent", "period"), [(5.0, 4.0), (10.0, 16 / 3)])
def test_a_known_ripple_is_found_along_any_axis(axis: int, percent: float, period: float) -> None:
    still = np.where(BRAIN, 400.0, 0.0) + np.random.default_rng(1).normal(0, 8, SHAPE)
    ripple = 4.0 * percent * np.sin(2 * np.pi * PLACES[axis] / period)
    assert ringing_percent(still.astype(np.float32), BRAIN) < 0.5
    found = ringing_percent((still + ripple).astype(np.float32), BRAIN)
    assert found == pytest.approx(percent, rel=0.1)


def test_no_ripple_is_seen_in_a_brain_with_tissues_or_in_one_too_small() -> None:
    assert ringing_percent(brain_image(8.0), BRAIN) < 1.0
    assert np.isnan(ringing_percent(brain_image(8.0), ball(RADII * 0.3)))


def test_a_known_ghost_beside_the_head_is_found_and_none_in_a_stripped_image() -> None:
    brain = np.pad(BRAIN, 30)
    head = ndimage.distance_transform_edt(~brain) <= 8
    air = np.abs(np.random.default_rng(4).normal(0, 4, brain.shape))
    wide = np.where(head, 400.0, air)
    edges = (2.0, 2.0, 2.0)
    quiet = ghosting_percent(wide.astype(np.float32), brain, voxel_sizes_mm=edges)
    assert abs(quiet) < 0.3
    for amplitude in (0.05, 0.1):
        # Smeared along the second axis, as motion leaves the head's signal.
        smear = amplitude * 400.0 * head.any(axis=1, keepdims=True)
        ghosted = np.where(head, wide, wide + smear).astype(np.float32)
        found = ghosting_percent(ghosted, brain, voxel_sizes_mm=edges)
        assert found == pytest.approx(100 * amplitude, rel=0.08)
    stripped = np.where(brain, wide, 0).astype(np.float32)
    assert np.isnan(ghosting_percent(stripped, brain, voxel_sizes_mm=edges))


@pytest.mark.parametrize("edges", [CUBE, (1.0, 1.0, 4.0)])
def test_dropped_and_copied_slices_are_counted(edges: tuple[float, float, float]) -> None:
    def count(voxels: np.ndarray) -> int:
        return missing_slices(voxels.astype(np.float32), BRAIN, voxel_sizes_mm=edges)

    whole = np.where(BRAIN, brain_image(10.0), 0.0)
    assert count(whole) == 0
    dropped = whole.copy()
    dropped[:, :, [20, 33, 34]] = 0
    assert count(dropped) == 3
    copied = whole.copy()
    copied[:, :, 40] = copied[:, :, 39]
    field = np.exp(0.2 * np.cos(PLACES[2] / 30))  # divided out after the copying
    assert count(copied * field) == 1
    specks = whole.copy()
    specks[30, 30, 0] = 50  # left by brain extraction, far below the brain
    assert count(specks) == 0
    assert missing_slices(np.ones(SHAPE, np.float32), BRAIN, voxel_sizes_mm=edges) == 0


def test_slices_are_counted_along_the_slice_axis_only() -> None:
    voxels = np.where(BRAIN, brain_image(10.0), 0.0).astype(np.float32)
    voxels[30] = 0
    assert missing_slices(voxels, BRAIN, voxel_sizes_mm=CUBE) == 1
    assert missing_slices(voxels, BRAIN, voxel_sizes_mm=(1.0, 1.0, 4.0)) == 0


def test_the_area_of_a_cut_brain_is_in_mm2() -> None:
    box = np.zeros((10, 12, 14), bool)
    box[2:7, 3:9, :4] = True  # reaches the lower face with 5 x 6 voxels
    assert brain_at_edge_mm2(box, voxel_sizes_mm=(0.5, 2.0, 3.0)) == pytest.approx(5 * 6 * 1.0)
    box[:, 3, 3] = True  # and both side faces with one voxel of 2 x 3 mm
    assert brain_at_edge_mm2(box, voxel_sizes_mm=(0.5, 2.0, 3.0)) == pytest.approx(30 + 2 * 6.0)


def test_dice_has_its_closed_form_and_no_value_for_nothing() -> None:
    first, second = np.zeros(20, bool), np.zeros(20, bool)
    first[:8], second[4:16] = True, True
    assert dice(first, second) == pytest.approx(2 * 4 / (8 + 12))
    assert np.isnan(dice(np.zeros(4, bool), np.zeros(4, bool)))


def test_the_residual_is_the_median_of_the_difference_and_blind_to_lesions() -> None:
    noise = np.random.default_rng(5)
    first, second = (noise.normal(0, 0.3, SHAPE).astype(np.float32) for _ in range(2))
    # Of N(0, 0.3 sqrt 2): the median absolute value is 0.6745 standard deviations.
    expected = 0.67449 * 0.3 * np.sqrt(2)
    assert residual_z(first, second, BRAIN) == pytest.approx(expected, rel=0.02)
    second[ball(RADII * 0.2)] += 4
    assert residual_z(first, second, BRAIN) == pytest.approx(expected, rel=0.03)
    assert np.isnan(residual_z(first, second, np.zeros(SHAPE, bool)))


def test_the_typical_displacement_of_a_shift_and_of_a_turn() -> None:
    shift = np.eye(4)
    shift[:3, 3] = [3.0, 0.0, 4.0]
    centre = np.array([10.0, -20.0, 5.0])
    assert typical_displacement_mm(shift, centre=centre) == pytest.approx(5.0)
    angle = 0.02
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    points = np.random.default_rng(0).uniform(-80, 80, (400_000, 3))
    points = points[(points**2).sum(axis=1) < 80**2]
    moved = points @ turn[:3, :3].T - points
    expected = np.sqrt((moved**2).sum(axis=1).mean())
    assert typical_displacement_mm(turn, centre=np.zeros(3)) == pytest.approx(expected, rel=0.01)


def prepared(
    voxels: np.ndarray, brain: np.ndarray, to_participant: np.ndarray, log_field: Image | None
) -> PreparedScan:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    flair = PreparedSequence(Image(voxels.astype(np.float32), affine), np.eye(4), log_field)
    return PreparedScan({"FLAIR": flair}, Image(brain.astype(np.uint8), affine), to_participant)


def shifted(x_mm: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[0, 3] = x_mm
    return matrix


def test_a_participant_is_measured_with_known_field_and_known_displacement() -> None:
    voxels = ndimage.gaussian_filter(np.where(BRAIN, brain_image(0.0), 0.0), 1.0)
    voxels += np.where(BRAIN, np.random.default_rng(1).normal(0, 15, SHAPE), 0.0)
    affine = np.diag([6.0, 6.0, 6.0, 1.0])
    coarse = np.zeros((24, 28, 22))
    along = np.arange(24) / 3.0 * 0.05
    coarse += along[:, None, None]
    field = Image(coarse, affine)
    # Sessions 1 and 2 lie alike; the third is laid 8 mm (4 voxels) beside them.
    scans = [prepared(voxels, BRAIN, shifted(mm), field) for mm in (0.0, 0.0, 8.0)]
    found = measure_participant(scans, intensity=INTENSITY)
    assert set(found[0]) == {measure.name for measure in measures_of(("FLAIR",))}
    first, _, third = found
    assert first["brain_volume_mm3"] == pytest.approx(BRAIN.sum() * 8.0)
    assert first["voxel_anisotropy"] == 1.0
    assert first["flair_missing_slices"] == 0
    inside = np.kron(BRAIN[1::3, 1::3, 1::3], np.ones(1))
    values = coarse[: inside.shape[0], : inside.shape[1], : inside.shape[2]][BRAIN[::3, ::3, ::3]]
    low, high = np.percentile(values, [2, 98])
    assert first["flair_bias_field_range_percent"] == pytest.approx(
        100 * (np.exp(high - low) - 1), rel=0.05
    )
    median = np.median(voxels[BRAIN])
    assert first["flair_signal_to_noise"] == pytest.approx(median / 15, rel=0.1)
    moved = np.roll(BRAIN, 4, axis=0)
    overlap = 2 * (BRAIN & moved).sum() / (2 * BRAIN.sum())
    # The median over the others: 1 and `overlap` for the first, `overlap` twice for the third.
    assert third["brain_overlap_dice"] == pytest.approx(overlap, abs=0.01)
    assert first["brain_overlap_dice"] == pytest.approx((1 + overlap) / 2, abs=0.01)
    assert third["alignment_residual_z"] > 3 * first["alignment_residual_z"] / 2
    assert np.isnan(first["alignment_inconsistency_mm"])


def test_a_single_session_has_nothing_to_be_compared_with() -> None:
    (alone,) = measure_participant(
        [prepared(brain_image(10.0), BRAIN, np.eye(4), None)], intensity=INTENSITY
    )
    for name in ("brain_overlap_dice", "alignment_residual_z", "flair_bias_field_range_percent"):
        assert np.isnan(alone[name])
