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
    expected = []
    for sign in (2, -2):  # torchio counts some axes the other way
        lines = [slice(None)] * 3
        lines[axis] = slice(SIZE * 3 // 4, None)
        kspace = spectrum(patch.numpy())
        # The pose of the middle of k-space is the resting one, whichever came first.
        kspace[tuple(lines)] = spectrum(np.roll(patch.numpy(), sign, across))[tuple(lines)]
        expected.append(image_of(kspace))
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
