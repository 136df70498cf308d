"""Chains of maps against closed forms, and images that are interpolated once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from tests.preprocessing.motions import motion

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.prepared_scan import Drift, PreparedScan, PreparedSequence
from lesion_dynamics.preprocessing.resampling import Interpolation, resample
from lesion_dynamics.preprocessing.transform import Warp, moved, resample_through
from lesion_dynamics.segmenter.network_input import network_input, on_native_grid
from lesion_dynamics.settings.networks import UNetSettings
from lesion_dynamics.settings.preprocessing import (
    BiasFieldSettings,
    IntensitySettings,
    PreprocessingSettings,
    RegistrationSettings,
)
from lesion_dynamics.settings.segmenter import SegmenterSettings, WindowSettings

STRETCH = np.array([[0.02, 0.01, 0.0], [0.0, -0.03, 0.005], [0.01, 0.0, 0.04]])


def linear_warp() -> Warp:
    """p -> p + STRETCH p, on oblique nodes: trilinear interpolation is exact for it."""
    affine = motion([10, -5, 20], [-70, -80, -60]) @ np.diag([9.0, 11.0, 10.0, 1.0])
    index = np.indices((16, 16, 16)).reshape(3, -1)
    world = affine[:3, :3] @ index + affine[:3, 3:]
    displacement = (STRETCH @ world).T.reshape(16, 16, 16, 3)
    return Warp(displacement.astype(np.float32), affine)


POINTS = np.random.default_rng(0).uniform(-25, 25, (3, 50))


def test_a_linear_warp_moves_points_and_volumes_as_its_matrix_does() -> None:
    warp = linear_warp()
    matrix = np.eye(3) + STRETCH
    np.testing.assert_allclose(warp.moved(POINTS), matrix @ POINTS, atol=1e-5)
    np.testing.assert_allclose(warp.jacobian(POINTS), np.linalg.det(matrix), rtol=1e-5)
    there_and_back = warp.inverse().moved(warp.moved(POINTS))
    np.testing.assert_allclose(there_and_back, POINTS, atol=1e-3)
    inverted = warp.inverse().jacobian(POINTS)
    np.testing.assert_allclose(inverted, 1 / np.linalg.det(matrix), rtol=1e-4)


def test_a_warp_that_folds_space_has_no_way_back() -> None:
    warp = linear_warp()
    with pytest.raises(ValueError, match="no inverse"):
        Warp(warp.displacement_mm * 80, warp.affine).inverse()


def test_steps_are_taken_in_their_order() -> None:
    first, last = motion([5, 0, 10], [3, -4, 2]), motion([0, 20, 0], [1, 1, -9])
    found = moved(POINTS, (first, linear_warp(), last))
    between = (np.eye(3) + STRETCH) @ (first[:3, :3] @ POINTS + first[:3, 3:])
    np.testing.assert_allclose(found, last[:3, :3] @ between + last[:3, 3:], atol=1e-5)


@pytest.fixture(scope="module")
def noise() -> Image:
    """Nothing that a second interpolation would leave alone."""
    voxels = np.random.default_rng(1).normal(100, 30, (30, 34, 28)).astype(np.float32)
    affine = motion([8, -6, 4], [-20, -22, -18]) @ np.diag([1.3, 1.2, 1.6, 1.0])
    return Image(voxels, affine)


def test_affine_steps_alone_are_what_resample_does_with_their_product(noise: Image) -> None:
    first, last = motion([5, 0, 10], [3, -4, 2]), motion([0, 20, 0], [1, 1, -9])
    grid = {"shape": (20, 21, 22), "affine": np.diag([1.5, 1.5, 1.5, 1.0])}
    np.testing.assert_array_equal(
        resample_through(noise, **grid, steps=(first, last), interpolation="cubic").voxels,
        resample(noise, **grid, image_from_target=last @ first, interpolation="cubic").voxels,
    )


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_a_warp_that_moves_nothing_changes_nothing_of_the_rules_at_the_border(
    noise: Image, interpolation: Interpolation
) -> None:
    nothing = Warp(np.zeros((2, 2, 2, 3), dtype=np.float32), np.diag([90.0, 90, 90, 1]))
    turn = motion([5, 0, 10], [3, -4, 2])
    grid = {"shape": (40, 41, 42), "affine": np.diag([1.5, 1.5, 1.5, 1.0])}
    grid["affine"][:3, 3] = -25
    expected = resample(noise, **grid, image_from_target=turn, interpolation=interpolation)
    found = resample_through(noise, **grid, steps=(turn, nothing), interpolation=interpolation)
    assert found.voxels.dtype == expected.voxels.dtype
    same = np.isclose(found.voxels, expected.voxels, atol=2e-2)
    # Nearest ties and the last half voxel of the border may round to either side.
    assert same.mean() > 0.999


def segmenter(spacing_mm: float) -> SegmenterSettings:
    return SegmenterSettings(
        sequences=("FLAIR", "T1w"),
        optional_sequences=("T1w",),
        spacing_mm=spacing_mm,
        precision="float32",
        preprocessing=PreprocessingSettings(
            registration=RegistrationSettings(iterations=(1,)),
            bias_field=BiasFieldSettings(enabled=False, shrink_mm=6, iterations=(1,)),
            intensity=IntensitySettings(lower_percentile=20, upper_percentile=80),
        ),
        network=UNetSettings(channels=(4, 4), strides=(2,), residual_units=0, head_channels=2),
        window=WindowSettings(size_voxels=(32, 32, 32), overlap=0),
    )


@pytest.fixture
def scan(noise: Image) -> PreparedScan:
    """FLAIR and T1w on unlike grids, each distorted, turned against each other and the space."""
    t1w = Image(
        np.random.default_rng(2).normal(50, 9, (36, 32, 30)).astype(np.float32),
        motion([-4, 9, 2], [-22, -20, -19]) @ np.diag([1.2, 1.4, 1.3, 1.0]),
    )
    warp = linear_warp()
    brain = np.zeros(noise.shape, dtype=np.uint8)
    brain[8:22, 9:25, 8:20] = 1
    return PreparedScan(
        sequences={
            "FLAIR": PreparedSequence(noise, np.eye(4), gradient_warp=warp),
            "T1w": PreparedSequence(t1w, motion([2, 3, -4], [1, -2, 1.5]), gradient_warp=warp),
        },
        brain_mask=noise.with_voxels(brain),
        to_participant=motion([3, -4, 5], [-2, 1, 3]),
    )


def test_every_sequence_reaches_the_network_through_one_interpolation(scan: PreparedScan) -> None:
    given = network_input(scan, segmenter(1.5))
    index = np.indices(given.brain_mask.shape).reshape(3, -1)
    world = given.affine[:3, :3] @ index + given.affine[:3, 3:]
    inside = given.brain_mask
    for channel, (name, sequence) in enumerate(scan.sequences.items()):
        back = np.linalg.inv(scan.to_participant @ sequence.to_flair)
        true = back[:3, :3] @ world + back[:3, 3:]
        distorted = (np.eye(3) + STRETCH) @ true
        voxel = np.linalg.inv(sequence.image.affine)
        places = voxel[:3, :3] @ distorted + voxel[:3, 3:]
        once = ndimage.map_coordinates(sequence.image.voxels, places, order=1, mode="nearest")
        once = once.reshape(inside.shape)[inside]
        found = given.channels[channel][inside]
        whole = (found > -3.9) & (found < 7.9)
        slope, start = np.polyfit(once[whole], found[whole], 1)
        # Normalised, and else the same values: a second interpolation would smooth the noise.
        np.testing.assert_allclose(found[whole], slope * once[whole] + start, atol=2e-2), name


def test_what_the_network_says_comes_home_to_the_distorted_grid(scan: PreparedScan) -> None:
    given = network_input(scan, segmenter(0.75))
    home = on_native_grid(given.brain_mask.astype(np.float32), given, scan).voxels >= 0.5
    sent = scan.brain_mask.voxels > 0
    assert 2 * (home & sent).sum() / (home.sum() + sent.sum()) > 0.97
    straight = resample(
        Image(given.brain_mask.astype(np.float32), given.affine),
        shape=scan.brain_mask.shape,
        affine=scan.brain_mask.affine,
        image_from_target=scan.to_participant,
        interpolation="linear",
    )
    assert (home ^ sent).sum() < 0.1 * ((straight.voxels >= 0.5) ^ sent).sum()


def test_volumes_count_as_they_truly_are(scan: PreparedScan) -> None:
    scale = scan.volume_scale()
    assert isinstance(scale, np.ndarray)
    # True places are mapped to the image by the warp: an image voxel holds 1/det of true volume.
    np.testing.assert_allclose(
        scale[8:22, 9:25, 8:20], 1 / np.linalg.det(np.eye(3) + STRETCH), rtol=1e-4
    )
    plain = {"FLAIR": PreparedSequence(scan.flair.image, np.eye(4))}
    stretched = scan.to_participant @ np.diag([1.01, 1.0, 1.0, 1.0])
    assert PreparedScan(plain, scan.brain_mask, scan.to_participant).volume_scale() == 1.0
    drift = Drift(np.diag([-0.01, 0, 0]), corrected=True)
    corrected = PreparedScan(plain, scan.brain_mask, stretched, drift)
    assert corrected.volume_scale() == pytest.approx(1.01)


def test_a_drift_is_told_in_percent_along_the_axes() -> None:
    stretch = np.array([[np.log(1.01), 0.002, 0], [0.002, np.log(0.995), -0.001], [0, -0.001, 0]])
    drift = Drift(stretch, corrected=False)
    np.testing.assert_allclose(drift.scale_percent, (1.0, -0.5, 0.0), atol=1e-9)
    np.testing.assert_allclose(drift.shear_percent, (0.4, 0.0, -0.2), atol=1e-9)
