from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from lesion_dynamics.synthesis.fields import Draws, blur, thick_slices


def test_a_blur_is_scipys_gaussian_filter() -> None:
    volume = np.random.default_rng(0).random((20, 17, 14)).astype(np.float32)
    widths = (0.7, 1.3, 0.4)
    reach = [max(1, int(np.ceil(3 * width))) for width in widths]
    expected = ndimage.gaussian_filter(volume, widths, mode="nearest", radius=reach)
    np.testing.assert_allclose(blur(torch.from_numpy(volume), widths), expected, atol=1e-6)


def test_a_width_of_zero_changes_nothing() -> None:
    volume = torch.rand(5, 6, 7)
    assert torch.equal(blur(volume, (0.0, 0.0, 0.0)), volume)


def test_a_shift_moves_by_the_given_distance() -> None:
    ramp = torch.arange(12.0)[:, None, None].expand(12, 3, 3)
    moved = blur(ramp, (0.0, 0.0, 0.0), shift=(1.25, 0.0, 0.0))
    np.testing.assert_allclose(moved[3:10, 1, 1], ramp[3:10, 1, 1] - 1.25, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thick_slices_average_over_their_thickness(axis: int) -> None:
    # A wave of half the thickness averages out, one much longer than it stays.
    size = 48
    place = torch.arange(size, dtype=torch.float32)
    line = torch.cos(2 * torch.pi * place / 2) + torch.cos(2 * torch.pi * place / 48)
    shape = [1, 1, 1]
    shape[axis] = size
    sizes = [3, 3, 3]
    sizes[axis] = size
    volume = line.reshape(shape).expand(sizes).contiguous()
    seen = thick_slices(volume, axis=axis, thickness=4.0, phase=0.3).movedim(axis, -1)[1, 1]
    # Averaging lowers the slow wave by 1.1%, linear interpolation over 4 by at most 3.4%.
    slow = torch.cos(2 * torch.pi * place / 48)
    np.testing.assert_allclose(seen[6:-6], slow[6:-6], atol=0.05)


def test_a_constant_stays_what_it_is_under_slices() -> None:
    volume = torch.full((9, 9, 23), 2.5)
    np.testing.assert_allclose(
        thick_slices(volume, axis=2, thickness=3.7, phase=0.8), 2.5, rtol=1e-5
    )


@pytest.mark.parametrize("scale", [1.4, 4.0, 13.0])
def test_a_field_has_about_unit_deviation_and_the_asked_for_smoothness(scale: float) -> None:
    draws = Draws(5)
    field = torch.stack([draws.field((60, 60, 60), scale=scale) for _ in range(4)]).double()
    assert float(field.std()) == pytest.approx(1.0, abs=0.35)
    step = max(1, round(scale / 4))
    near = torch.corrcoef(torch.stack([field[:, step:].ravel(), field[:, :-step].ravel()]))[0, 1]
    far_step = min(round(4 * scale), 50)
    far = torch.corrcoef(torch.stack([field[:, far_step:].ravel(), field[:, :-far_step].ravel()]))
    assert near > 0.6
    assert abs(far[0, 1]) < 0.35


def test_one_seed_gives_one_sequence_of_draws() -> None:
    def everything(seed: int) -> torch.Tensor:
        draws = Draws(seed)
        scalars = torch.tensor([draws.uniform(2, 3), draws.normal(), float(draws.integer(9))])
        return torch.cat([scalars, draws.field((4, 5, 6), scale=3.0).ravel(), draws.normals(4)])

    assert torch.equal(everything(8), everything(8))
    assert not torch.equal(everything(8), everything(9))
