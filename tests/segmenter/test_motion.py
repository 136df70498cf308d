"""Motion and ghosting against k-space done by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lesion_dynamics.segmenter.motion import ghosted, moved_while_scanned

SIZE = 24


@pytest.fixture
def patch() -> torch.Tensor:
    """Texture of all frequencies, zero near the edges: a shift brings nothing in."""
    texture = np.zeros((SIZE,) * 3, dtype=np.float32)
    texture[4:-4, 4:-4, 4:-4] = np.random.default_rng(2).normal(size=(SIZE - 8,) * 3)
    return torch.from_numpy(texture)


def spectrum(image: np.ndarray) -> np.ndarray:
    return np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(image)))


def image_of(kspace: np.ndarray) -> np.ndarray:
    return np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(kspace))).real


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_lines_after_the_movement_are_those_of_the_moved_head(
    patch: torch.Tensor, axis: int
) -> None:
    """Moved by two voxels across the lines, at three quarters of the scan."""
    across = (axis + 1) % 3
    order = [k for k in range(3) if k != axis] + [axis]  # the axes as torchio is given them
    voxels = np.zeros((1, 3))
    voxels[0, order.index(across)] = 2.0
    found = moved_while_scanned(
        patch, degrees=np.zeros((1, 3)), voxels=voxels, times=np.array([0.75]), axis=axis
    )
    # Two more on each side: what is moved in from there.
    whole = np.pad(patch.numpy(), 2)
    first = (SIZE + 4) * 3 // 4
    expected = []
    for sign in (2, -2):  # torchio counts some axes the other way
        lines = [slice(None)] * 3
        lines[axis] = slice(first, None)
        kspace = spectrum(whole)
        # The pose of the middle of k-space is the resting one, whichever came first.
        kspace[tuple(lines)] = spectrum(np.roll(whole, sign, across))[tuple(lines)]
        expected.append(image_of(kspace)[2:-2, 2:-2, 2:-2])
    errors = [np.abs(found.numpy() - one).max() for one in expected]
    assert min(errors) < 1e-4
    assert np.abs(found.numpy() - patch.numpy()).max() > 0.3


def test_a_head_that_stays_where_it_is_is_not_changed(patch: torch.Tensor) -> None:
    still = moved_while_scanned(
        patch, degrees=np.zeros((2, 3)), voxels=np.zeros((2, 3)), times=np.array([0.3, 0.6]), axis=1
    )
    torch.testing.assert_close(still, patch, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        ghosted(patch, ghosts=3, strength=0.0, axis=0), patch, atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_ghosts_are_planes_of_k_space_that_were_weakened(patch: torch.Tensor, axis: int) -> None:
    """Every fourth plane by 60%, but for the middle one."""
    kspace = np.moveaxis(spectrum(patch.numpy()), axis, 0)
    middle = kspace[SIZE // 2].copy()
    kspace[::4] *= 0.4
    kspace[SIZE // 2] = middle
    expected = image_of(np.moveaxis(kspace, 0, axis))
    found = ghosted(patch, ghosts=4, strength=0.6, axis=axis)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    # Copies lie a fourth of the field of view away.
    copied = np.roll(patch.numpy(), SIZE // 4, axis)
    assert np.corrcoef(copied.ravel(), (found - patch).numpy().ravel())[0, 1] < -0.3


def test_movements_show_no_face_of_the_patch_and_turn_about_its_middle() -> None:
    """Tissue of one brightness stays what it is, however it moves; a ball in the middle, too."""
    poses = {
        "degrees": np.array([[8.0, -6.0, 5.0], [-4.0, 7.0, 8.0]]),
        "times": np.array([0.2, 0.7]),
        "axis": 0,
    }
    even = torch.full((SIZE,) * 3, 0.7)
    moved = moved_while_scanned(even, voxels=np.full((2, 3), 3.0), **poses)
    torch.testing.assert_close(moved, even, atol=1e-4, rtol=0)
    away = sum((np.indices((SIZE,) * 3)[k] - (SIZE - 1) / 2) ** 2 for k in range(3))
    ball = torch.from_numpy(1 / (1 + np.exp((np.sqrt(away) - 6) / 0.6))).float()
    turned = moved_while_scanned(ball, voxels=np.zeros((2, 3)), **poses)
    assert float((turned - ball).abs().max()) < 0.025
