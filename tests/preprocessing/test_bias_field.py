"""N4 takes out a field that was put in."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from tests.preprocessing.motions import mask_of

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.bias_field import find_bias_field, without_bias_field
from lesion_dynamics.settings.preprocessing import BiasFieldSettings, PreprocessingSettings


@pytest.fixture(scope="module")
def log_field(flair: Image) -> np.ndarray:
    """Across the head and along it, about 50% from one end to the other."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, size) for size in flair.shape], indexing="ij")
    field: np.ndarray = 0.2 * x + 0.25 * z**2 - 0.1 * x * y
    return field


@pytest.fixture(scope="module")
def biased(flair: Image, log_field: np.ndarray) -> Image:
    return flair.with_voxels((flair.voxels * np.exp(log_field)).astype(np.float32))


def corrected(image: Image, settings: BiasFieldSettings) -> Image:
    return without_bias_field(image, find_bias_field(image, mask_of(image), settings=settings))


@pytest.fixture(scope="module")
def usual(biased: Image, settings: PreprocessingSettings) -> Image:
    """What becomes of `biased` with the shipped settings."""
    return corrected(biased, settings.bias_field)


def test_white_matter_becomes_even_again(
    flair: Image,
    biased: Image,
    usual: Image,
    white_matter: np.ndarray,
    settings: PreprocessingSettings,
) -> None:
    def variation(image: Image) -> float:
        values = image.voxels[white_matter > 0.95]
        return float(values.std() / values.mean())

    assert variation(biased) > 1.6 * variation(flair)
    # The average of 152 brains is smooth enough for N4 to take some of it for a field, with or
    # without one; on one person's scan it does not (test_phantom_scans.py).
    assert variation(usual) < 1.05 * variation(corrected(flair, settings.bias_field))


def test_most_of_an_applied_field_is_taken_out(
    flair: Image,
    usual: Image,
    log_field: np.ndarray,
    tissue: np.ndarray,
    settings: PreprocessingSettings,
) -> None:
    # Held against N4's own answer for the brain without the field: anatomy is not flat either.
    flat = corrected(flair, settings.bias_field)
    inside = tissue & (flair.voxels > 0)
    remaining = np.log(usual.voxels[inside] / flat.voxels[inside]).std()
    assert remaining < 0.35 * log_field[inside].std()


def test_the_field_at_every_voxel_is_n4s_own_to_a_few_thousandths(
    flair: Image, biased: Image, settings: PreprocessingSettings
) -> None:
    field = find_bias_field(biased, mask_of(biased), settings=settings.bias_field)
    factor = round(settings.bias_field.shrink_mm / 3)
    assert field.voxels.shape == tuple(-(-size // factor) for size in flair.shape)
    start = (factor - 1) // 2
    samples = (slice(start, None, factor),) * 3
    inside = mask_of(biased).voxels[samples]
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetNumberOfThreads(1)
    corrector.SetMaximumNumberOfIterations(list(settings.bias_field.iterations))
    small = sitk.GetImageFromArray(np.ascontiguousarray(biased.voxels[samples]))
    small.SetSpacing([3.0 * factor] * 3)
    mask = sitk.GetImageFromArray(np.ascontiguousarray(inside))
    mask.SetSpacing([3.0 * factor] * 3)
    corrector.Execute(small, mask)
    full = sitk.GetImageFromArray(biased.voxels)
    full.SetSpacing([3.0] * 3)
    full.SetOrigin([-3.0 * start] * 3)
    theirs = sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(full))
    tissue = biased.voxels > 1
    ours = np.log(biased.voxels[tissue] / without_bias_field(biased, field).voxels[tissue])
    difference = ours - theirs[tissue]
    # Interpolated between the fitted points; the finest splines bend most at the brain's edge.
    assert np.abs(difference - np.median(difference)).max() < 1.5e-2
    assert difference.std() < 5e-3


def test_the_level_of_the_intensities_stays(flair: Image, settings: PreprocessingSettings) -> None:
    mask = flair.voxels > 1
    found = corrected(flair, settings.bias_field)
    assert float(found.voxels[mask].mean()) == pytest.approx(
        float(flair.voxels[mask].mean()), rel=0.02
    )


def test_the_same_image_gives_the_same_bytes(
    biased: Image, usual: Image, settings: PreprocessingSettings
) -> None:
    again = corrected(biased, settings.bias_field)
    assert again.voxels.tobytes() == usual.voxels.tobytes()
    assert again.voxels.dtype == np.float32


def test_a_known_field_is_divided_out_exactly_on_every_grid() -> None:
    """A log field that is linear in world coordinates passes through the spline unchanged."""
    oblique = np.array([[0.7, 0.1, 0, -9], [-0.1, 0.7, 0.5, 3], [0, -0.1, 3.0, 7], [0, 0, 0, 1.0]])
    image = Image(np.full((40, 30, 13), 100.0, dtype=np.float32), oblique)
    coarse = oblique @ np.array([[8, 0, 0, 3], [0, 8, 0, 3], [0, 0, 2, 0], [0, 0, 0, 1.0]])

    def field(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        index = np.indices(shape).reshape(3, -1)
        world = affine[:3, :3] @ index + affine[:3, 3:]
        values: np.ndarray = (0.01 * world[0] - 0.02 * world[1] + 0.005 * world[2]).reshape(shape)
        return values

    log_field = Image(field(coarse, (5, 4, 7)), coarse)
    expected = 100 / np.exp(field(oblique, image.shape))
    found = without_bias_field(image, log_field).voxels
    # Beyond the outermost samples the field stays constant.
    np.testing.assert_allclose(found[3:36, 3:28, :13], expected[3:36, 3:28, :13], rtol=1e-5)


@pytest.mark.parametrize("knob", [{"shrink_mm": 12.0}, {"iterations": (1,)}], ids=str)
def test_every_knob_is_alive(
    biased: Image, usual: Image, settings: PreprocessingSettings, knob: dict[str, object]
) -> None:
    other = BiasFieldSettings.model_validate({**settings.bias_field.model_dump(), **knob})
    changed = corrected(biased, other)
    assert np.abs(usual.voxels - changed.voxels).max() > 1.0


def test_an_image_beside_the_brain_is_refused(
    flair: Image, settings: PreprocessingSettings
) -> None:
    nothing = flair.with_voxels(np.zeros(flair.shape, dtype=np.uint8))
    with pytest.raises(ScanError, match="hardly any of the brain"):
        find_bias_field(flair, nothing, settings=settings.bias_field)
