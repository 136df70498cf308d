"""Normalised intensities do not depend on the scanner's units, and hardly on lesions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.intensity import normalise_intensities
from lesion_dynamics.settings.preprocessing import IntensitySettings, PreprocessingSettings


def test_gaussian_intensities_get_mean_zero_and_unit_variance() -> None:
    voxels = np.random.default_rng(1).normal(300, 40, (60, 60, 60)).astype(np.float32)
    settings = IntensitySettings(lower_percentile=20, upper_percentile=80)
    z = normalise_intensities(voxels, np.ones(voxels.shape, dtype=bool), settings=settings)
    assert abs(float(z.mean())) < 0.01
    assert float(z.std()) == pytest.approx(1.0, abs=0.01)


def test_units_of_the_scanner_do_not_matter(brain: Image, settings: PreprocessingSettings) -> None:
    mask = brain.voxels > 0
    first = normalise_intensities(brain.voxels, mask, settings=settings.intensity)
    other = normalise_intensities(3.7 * brain.voxels + 55, mask, settings=settings.intensity)
    np.testing.assert_allclose(other[mask], first[mask], atol=1e-3)


def test_thirty_ml_of_bright_lesion_move_tissue_little(
    brain: Image, tissue: np.ndarray, settings: PreprocessingSettings
) -> None:
    mask = brain.voxels > 0
    places = np.argwhere(tissue)
    chosen = places[:: len(places) // 1100][:1111]  # 1,111 voxels of 27 mm3: 30 ml
    with_lesions = brain.voxels.copy()
    with_lesions[tuple(chosen.T)] *= 1.6
    healthy = mask.copy()
    healthy[tuple(chosen.T)] = False
    before = normalise_intensities(brain.voxels, mask, settings=settings.intensity)
    after = normalise_intensities(with_lesions, mask, settings=settings.intensity)
    assert np.abs(after - before)[healthy].max() < 0.12


def test_a_wider_brain_mask_changes_no_units(
    flair: Image, tissue: np.ndarray, settings: PreprocessingSettings
) -> None:
    mask = flair.voxels > 0
    wide = ndimage.binary_dilation(mask)
    fluid_around = np.where(wide & ~mask, np.float32(50), flair.voxels)
    narrow = normalise_intensities(flair.voxels, mask, settings=settings.intensity)
    other = normalise_intensities(fluid_around, wide, settings=settings.intensity)
    assert np.abs(narrow - other)[tissue].max() < 0.03


def test_trim_is_alive(flair: Image, settings: PreprocessingSettings) -> None:
    mask = flair.voxels > 0
    everything = settings.intensity.model_copy(update={"trim": 20.0})
    first = normalise_intensities(flair.voxels, mask, settings=settings.intensity)
    second = normalise_intensities(flair.voxels, mask, settings=everything)
    assert np.abs(first - second)[mask].max() > 0.05


def test_an_empty_brain_gives_zeros(flair: Image, settings: PreprocessingSettings) -> None:
    nothing = np.zeros(flair.shape, dtype=bool)
    assert not normalise_intensities(flair.voxels, nothing, settings=settings.intensity).any()


def test_a_constant_brain_gives_zeros(settings: PreprocessingSettings) -> None:
    flat = np.full((5, 5, 5), 7.0, dtype=np.float32)
    found = normalise_intensities(flat, np.ones(flat.shape, bool), settings=settings.intensity)
    assert not found.any()


@pytest.mark.parametrize("percentiles", [(10.0, 80.0), (20.0, 95.0)])
def test_both_percentiles_are_alive(brain: Image, percentiles: tuple[float, float]) -> None:
    mask = brain.voxels > 0
    usual = IntensitySettings(lower_percentile=20, upper_percentile=80)
    other = IntensitySettings(lower_percentile=percentiles[0], upper_percentile=percentiles[1])
    first = normalise_intensities(brain.voxels, mask, settings=usual)
    second = normalise_intensities(brain.voxels, mask, settings=other)
    assert np.abs(first - second)[mask].max() > 0.05


def test_percentiles_are_those_of_numpy_whichever_way_the_image_lies_in_memory() -> None:
    rng = np.random.default_rng(5)
    voxels = rng.gamma(3.0, 40.0, size=(11, 12, 13)).astype(np.float32)
    brain = rng.random(voxels.shape) > 0.3
    chosen = IntensitySettings(lower_percentile=17.0, upper_percentile=84.0, trim=20.0)
    low, centre, high = np.percentile(voxels[brain].astype(np.float64), [17.0, 50.0, 84.0])
    scale = (high - low) / chosen.standard_normal_distance
    expected = (voxels - centre) / scale
    for order in ("C", "F"):
        found = normalise_intensities(
            np.asarray(voxels, order=order), np.asarray(brain, order=order), settings=chosen
        )
        np.testing.assert_allclose(found, expected, atol=1e-5)
