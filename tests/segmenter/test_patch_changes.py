"""What augmentation does, against torchio, scipy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torchio as tio
from scipy.ndimage import gaussian_filter

from lesion_dynamics.segmenter.patch_changes import (
    BIAS_FIELD_TERMS,
    along_axis,
    bias_field,
    control_points,
    gaussian_blur,
    rotation_and_scaling,
    sampled,
    sampling_grid,
    spline_displacement,
    thick_slices,
)

SIZE = 20


@pytest.fixture
def smooth() -> torch.Tensor:
    """(2, 20, 20, 20), smooth enough to be resampled, zero near the edges."""
    noise = np.random.default_rng(1).normal(size=(2, SIZE, SIZE, SIZE))
    images = np.stack([gaussian_filter(one, 2.0) for one in noise])
    images[:, :4] = images[:, -4:] = images[:, :, :4] = images[:, :, -4:] = 0
    images[..., :4] = images[..., -4:] = 0
    return torch.from_numpy((images / images.std()).astype(np.float32))


def resample_about_centre(
    patch: torch.Tensor,
    matrix: torch.Tensor,
    *,
    nearest: bool,
    displacement: torch.Tensor | None = None,
) -> torch.Tensor:
    return sampled(
        patch, sampling_grid(patch.shape, matrix, displacement=displacement), nearest=nearest
    )


def test_the_bias_field_is_torchios() -> None:
    coefficients = torch.linspace(-0.4, 0.5, len(BIAS_FIELD_TERMS))
    found = bias_field(SIZE, coefficients)
    expected = tio.BiasField.generate_bias_field(
        torch.ones(1, SIZE, SIZE, SIZE), 3, coefficients.numpy()
    )
    np.testing.assert_allclose(found.numpy(), np.asarray(expected), rtol=2e-4)


def test_a_quarter_turn_about_each_axis_moves_voxels_exactly(smooth: torch.Tensor) -> None:
    for axis, plane in ((0, (2, 3)), (1, (3, 1)), (2, (1, 2))):
        degrees = torch.zeros(3)
        degrees[axis] = 90.0
        matrix = rotation_and_scaling(degrees, torch.ones(3))
        turned = resample_about_centre(smooth, torch.linalg.inv(matrix), nearest=False)
        torch.testing.assert_close(turned, torch.rot90(smooth, 1, plane), atol=1e-4, rtol=0)
        nearest = resample_about_centre(smooth, torch.linalg.inv(matrix), nearest=True)
        torch.testing.assert_close(nearest, torch.rot90(smooth, 1, plane), atol=1e-6, rtol=0)


def test_a_small_turn_and_scaling_is_what_scipy_resamples(smooth: torch.Tensor) -> None:
    from scipy.ndimage import affine_transform

    matrix = rotation_and_scaling(torch.tensor([7.0, -4.0, 11.0]), torch.tensor([1.1, 0.95, 1.05]))
    sampling = torch.linalg.inv(matrix)
    centre = np.full(3, (SIZE - 1) / 2)
    offset = centre - sampling.numpy() @ centre
    found = resample_about_centre(smooth, sampling, nearest=False)
    for channel in range(2):
        expected = affine_transform(smooth[channel].numpy(), sampling.numpy(), offset, order=1)
        np.testing.assert_allclose(found[channel].numpy(), expected, atol=2e-4)


def test_the_displacement_is_itks_cubic_b_spline() -> None:
    """The same control points in SimpleITK: 4 mm apart, the first one 4 mm before the patch."""
    import SimpleITK as sitk

    spacing, size = 4.0, 17
    count = control_points(size, spacing)
    control = torch.randn(3, count, count, count, generator=torch.Generator().manual_seed(4))
    found = spline_displacement(size, control, spacing=spacing)
    spline = sitk.BSplineTransform(3, 3)
    spline.SetTransformDomainOrigin([0.0] * 3)
    spline.SetTransformDomainPhysicalDimensions([spacing * (count - 3)] * 3)
    spline.SetTransformDomainMeshSize([count - 3] * 3)
    # ITK counts its first axis quickest.
    spline.SetParameters(control.permute(0, 3, 2, 1).reshape(-1).double().tolist())
    for place in ((0, 0, 0), (3, 7, 11), (16, 2, 9), (15, 15, 15)):
        moved = np.subtract(spline.TransformPoint([float(one) for one in place]), place)
        np.testing.assert_allclose(found[(slice(None), *place)].numpy(), moved, atol=1e-5)


def test_a_displacement_moves_the_patch_as_scipy_does(smooth: torch.Tensor) -> None:
    from scipy.ndimage import map_coordinates

    count = control_points(SIZE, 8.0)
    control = 2.0 * torch.rand(3, count, count, count, generator=torch.Generator().manual_seed(1))
    bend = spline_displacement(SIZE, control, spacing=8.0)
    assert 0.5 < float(bend.abs().max()) <= 2.0
    turn = torch.linalg.inv(rotation_and_scaling(torch.tensor([5.0, -3.0, 8.0]), torch.ones(3)))
    found = resample_about_centre(smooth, turn, nearest=False, displacement=bend)
    centre = (SIZE - 1) / 2
    voxels = np.stack(np.meshgrid(*[np.arange(SIZE)] * 3, indexing="ij")) - centre
    places = np.einsum("ij,j...->i...", turn.numpy(), voxels) + centre + bend.numpy()
    for channel in range(2):
        expected = map_coordinates(smooth[channel].numpy(), places, order=1)
        np.testing.assert_allclose(found[channel].numpy(), expected, atol=2e-4)


def test_the_largest_allowed_displacement_folds_nothing() -> None:
    """Control points pushed together as hard as the settings allow: the map keeps its order."""
    spacing, size = 8.0, 33
    count = control_points(size, spacing)
    signs = (-1.0) ** torch.arange(count)
    control = torch.zeros(3, count, count, count)
    control[0] = (signs[:, None, None] * 0.4 * spacing).expand(count, count, count)
    moved = torch.arange(size) + spline_displacement(size, control, spacing=spacing)[0, :, 5, 5]
    assert float(moved.diff().min()) > 0


def test_rotations_keep_volume_and_scalings_change_it() -> None:
    turn = rotation_and_scaling(torch.tensor([10.0, 20.0, 30.0]), torch.ones(3))
    assert float(torch.det(turn)) == pytest.approx(1.0)
    torch.testing.assert_close(turn @ turn.T, torch.eye(3, dtype=torch.float64))
    scales = torch.tensor([1.1, 0.9, 1.2])
    both = rotation_and_scaling(torch.tensor([10.0, 20.0, 30.0]), scales)
    assert float(torch.det(both)) == pytest.approx(math.prod(scales.tolist()))


def test_the_blur_is_scipys(smooth: torch.Tensor) -> None:
    deviations = torch.tensor([0.4, 0.9, 1.6])
    found = gaussian_blur(smooth, deviations)
    expected = gaussian_filter(smooth.numpy(), (0, *deviations.tolist()))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_matrix_acts_along_the_named_axis(axis: int) -> None:
    patch = torch.randn(2, 5, 5, 5, generator=torch.Generator().manual_seed(2))
    matrix = torch.roll(torch.eye(5), 1, dims=0)
    expected = torch.roll(patch, 1, dims=axis + 1)
    torch.testing.assert_close(along_axis(patch, matrix, axis), expected)


def test_thick_slices_are_means_of_their_voxels_and_linear_between() -> None:
    line = torch.zeros(1, 12, 12, 12)
    line[0] = torch.arange(12.0)[:, None, None] ** 2
    thick = thick_slices(line, axis=0, factor=4.0)[0, :, 0, 0]
    means = [np.mean(np.arange(start, start + 4) ** 2) for start in (0, 4, 8)]
    centres = [2.0, 6.0, 10.0]
    expected = np.interp(np.arange(12) + 0.5, centres, means)
    np.testing.assert_allclose(thick.numpy(), expected, rtol=1e-6)
    other = thick_slices(line, axis=1, factor=4.0)
    torch.testing.assert_close(other, line)  # constant along the second axis
