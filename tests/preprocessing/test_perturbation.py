"""Perturbed copies of a scan: each does what it says, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.perturbation import (
    mirrored,
    noisier,
    shifted,
    thicker,
    with_field,
)
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan, PreparedSequence
from lesion_dynamics.preprocessing.transform import resample_through
from lesion_dynamics.settings.preprocessing import BiasFieldSettings

CORRECTION = BiasFieldSettings(enabled=True, shrink_mm=4.0, iterations=(20, 10))
SHAPE = (24, 28, 20)


def turned(degrees: float, shift: tuple[float, float, float]) -> np.ndarray:
    """A rigid motion about z."""
    angle = np.deg2rad(degrees)
    motion = np.eye(4)
    motion[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    motion[:3, 3] = shift
    return motion


@pytest.fixture
def scan() -> PreparedScan:
    """A smooth bright head on an oblique grid, its T1w moved and with a bias field taken out."""
    rng = np.random.default_rng(3)
    affine = turned(8, (-30.0, -40.0, -20.0)) @ np.diag([2.0, 2.0, 3.0, 1.0])
    smooth = ndimage.gaussian_filter(rng.normal(size=SHAPE), 2) * 200 + 500
    brain = np.zeros(SHAPE, dtype=np.uint8)
    brain[3:-3, 3:-3, 2:-2] = 1
    inside = brain > 0
    flair = Image(np.where(inside, smooth, 0).astype(np.float32), affine)
    t1w = Image(np.where(inside, 900 - smooth, 0).astype(np.float32), affine)
    sequences = {
        "FLAIR": PreparedSequence(flair, np.eye(4)),
        "T1w": PreparedSequence(t1w, turned(3, (2.0, 1.0, 0.5)), log_bias_field=flair),
    }
    return PreparedScan(sequences, Image(brain, affine), turned(-5, (1.0, 2.0, 3.0)))


def in_participant_space(scan: PreparedScan, name: str, *, mirror: bool) -> np.ndarray:
    """A sequence on a grid of participant space, or on its mirror image."""
    grid = np.diag([2.0, 2.0, 2.0, 1.0])
    grid[:3, 3] = -36
    if mirror:
        grid = np.diag([-1.0, 1, 1, 1]) @ grid
    return resample_through(
        scan.sequences[name].image, shape=(37, 37, 37), affine=grid,
        steps=scan.steps_to_image(name), interpolation="linear",
    ).voxels  # fmt: skip


@pytest.mark.parametrize("name", ["FLAIR", "T1w"])
def test_a_mirrored_scan_is_the_mirror_image_in_participant_space(
    scan: PreparedScan, name: str
) -> None:
    there = in_participant_space(scan, name, mirror=False)
    assert (there > 0).mean() > 0.05
    back = in_participant_space(mirrored(scan), name, mirror=True)
    np.testing.assert_allclose(back, there, rtol=1e-5, atol=1e-2)
    assert (
        np.linalg.det(mirrored(scan).brain_mask.affine) < 0 < np.linalg.det(scan.brain_mask.affine)
    )
    twice = mirrored(mirrored(scan))
    np.testing.assert_allclose(twice.to_participant, scan.to_participant)
    np.testing.assert_array_equal(twice.flair.image.affine, scan.flair.image.affine)


def test_a_shifted_scan_shows_the_same_places_between_the_voxels(scan: PreparedScan) -> None:
    """A linear image is interpolated exactly, so its values tell where they were taken."""
    index = np.indices(SHAPE)
    ramp = Image((100 + index[0] + 2 * index[1]).astype(np.float32), scan.brain_mask.affine)
    sequences = {"FLAIR": replace(scan.flair, image=ramp)}
    moved = shifted(replace(scan, sequences=sequences), voxels=0.5)
    inner = (slice(6, -6),) * 3
    np.testing.assert_allclose(
        moved.flair.image.voxels[inner], (ramp.voxels + 1.5)[inner], atol=0.02
    )
    centre = moved.brain_mask.affine @ [0, 0, 0, 1]
    np.testing.assert_allclose(centre, scan.brain_mask.affine @ [0.5, 0.5, 0.5, 1])
    volume = int(scan.brain_mask.voxels.sum())
    assert int(moved.brain_mask.voxels.sum()) == pytest.approx(volume, rel=0.2)


def test_added_noise_has_the_asked_deviation_and_none_where_nothing_was_measured(
    scan: PreparedScan,
) -> None:
    def again(seed: int) -> PreparedScan:
        deviations = {"FLAIR": 10.0, "T1w": 4.0}
        return noisier(scan, standard_deviations=deviations, rng=np.random.default_rng(seed))

    inside = scan.brain_mask.voxels > 0
    for name, deviation in (("FLAIR", 10.0), ("T1w", 4.0)):
        added = again(1).sequences[name].image.voxels - scan.sequences[name].image.voxels
        assert added[inside].std() == pytest.approx(deviation, rel=0.05)
        assert not added[~inside].any()
    first = again(1).flair.image.voxels
    np.testing.assert_array_equal(first, again(1).flair.image.voxels)
    assert (first != again(2).flair.image.voxels).any()


def test_a_field_is_smooth_reaches_its_percentage_and_is_corrected_where_fields_were(
    scan: PreparedScan,
) -> None:
    changed = with_field(
        scan, percent=20, nodes=3, rng=np.random.default_rng(1), correction=CORRECTION
    )
    inside = scan.brain_mask.voxels > 0
    field = np.ones(SHAPE)
    field[inside] = (changed.flair.image.voxels / np.where(inside, scan.flair.image.voxels, 1))[
        inside
    ]
    assert 0.1 < np.abs(field - 1).max() <= 0.2 + 1e-6
    assert np.abs(np.diff(field[5:-5, 5:-5, 5:-5], axis=0)).max() < 0.05
    # The T1w had a field taken out before, so one is looked for again.
    kept, found = scan.sequences["T1w"].log_bias_field, changed.sequences["T1w"].log_bias_field
    assert found is not kept
    assert found is not None
    assert changed.flair.log_bias_field is None


def test_thick_slices_are_means_and_the_head_stays_where_it_is(scan: PreparedScan) -> None:
    thick = thicker(scan, slices=2)
    thin, image = scan.flair.image, thick.flair.image
    assert image.shape == (24, 28, 10)
    np.testing.assert_allclose(image.voxels[..., 3], thin.voxels[..., 6:8].mean(axis=-1), rtol=1e-6)
    assert image.voxel_volume_mm3 == pytest.approx(2 * thin.voxel_volume_mm3)

    def centre(one: Image) -> np.ndarray:
        return one.affine @ [*ndimage.center_of_mass(one.voxels), 1]

    np.testing.assert_allclose(centre(image), centre(thin), atol=0.01)
    assert thick.brain_mask.on_same_grid_as(image)
    assert thicker(scan, slices=3).flair.image.shape == (24, 28, 7)
