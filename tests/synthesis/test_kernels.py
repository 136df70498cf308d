"""The compiled loops against numpy and scipy, which compute the same in another way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from lesion_dynamics.synthesis.fields import blur
from lesion_dynamics.synthesis.healthy import healthy_signal
from lesion_dynamics.synthesis.kernels import interpolated, lesions_over, received, unpacked

SHAPE = (7, 9, 11)


def volumes(count: int, *, seed: int = 0) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return [rng.random(SHAPE).astype(np.float32) for _ in range(count)]


def test_a_lattice_is_interpolated_as_by_scipy() -> None:
    lattice = np.random.default_rng(1).normal(size=(4, 5, 6)).astype(np.float32)
    offsets = np.array([0.3, 0.9, 0.0], dtype=np.float32)
    places = [np.arange(size) / 3.5 + offset for size, offset in zip(SHAPE, offsets, strict=True)]
    grid = np.meshgrid(*places, indexing="ij")
    expected = ndimage.map_coordinates(lattice, grid, order=1)
    np.testing.assert_allclose(interpolated(lattice, offsets, 3.5, SHAPE), expected, atol=1e-5)


def test_maps_are_unpacked_from_a_view() -> None:
    packed = np.random.default_rng(2).integers(0, 256, (2, 12, 12, 12), dtype=np.uint8)
    view = packed[:, 3:9, 2:8, 1:7]
    steps, zeros = np.array([0.25, 1 / 255], np.float32), np.array([-10.0, 0.0], np.float32)
    expected = view * steps[:, None, None, None] + zeros[:, None, None, None]
    np.testing.assert_allclose(unpacked(view, steps, zeros), expected, atol=1e-5)


@pytest.mark.parametrize("shift", [-1.4, -0.25, 0.5, 1.0])
def test_a_blur_that_moves_is_scipys_blur_and_shift(shift: float) -> None:
    smooth = ndimage.gaussian_filter(np.random.default_rng(3).random((24, 20, 22)), 2.0)
    volume = smooth.astype(np.float32)
    expected = ndimage.shift(
        ndimage.gaussian_filter(volume, (0.8, 0, 0), mode="nearest", radius=(3, 0, 0)),
        (shift, 0, 0), order=1, mode="nearest",
    )  # fmt: skip
    moved = blur(torch.from_numpy(volume), (0.8, 0.0, 0.0), shift=(shift, 0.0, 0.0)).numpy()
    np.testing.assert_allclose(moved[6:-6], expected[6:-6], atol=1e-6)


def test_lesions_replace_what_lies_below_them_as_far_as_they_reach() -> None:
    signal, core, around, brightness, uneven, fluid = volumes(6)
    added = lesions_over(signal, core, around, brightness, uneven, fluid, 0.3, 0.7, 0.2)
    reach = np.maximum(core, 0.3 * np.minimum(2 * around, 1))
    ill = (1 + 0.7 * brightness * (1 + 0.12 * uneven)) * (1 - fluid) + 0.2 * fluid
    np.testing.assert_allclose(added, reach * (ill - signal), atol=1e-6)


def test_what_is_received_has_gain_and_noise_and_is_not_negative() -> None:
    signal, added, field, noise = volumes(4)
    seen = received(signal, added, 9 * (field - 0.5), noise - 0.7, 0.3, 2.0)
    gain = np.clip(1 + 0.3 * 9 * (field - 0.5), 0.4, 1.8)
    expected = np.maximum((signal + added) * gain + 2.0 * (noise - 0.7), 0)
    np.testing.assert_allclose(seen, expected, atol=1e-5)
    assert (seen == 0).any()
    assert gain.min() == pytest.approx(0.4)


def healthy(**levels: float) -> NDArray[np.float32]:
    """A voxel column: white, cortex, nuclei, fluid, each pure; limbic and tract in the odd ones."""
    names = (
        "cortex", "limbic", "nuclei", "fluid", "choroid", "residue", "residue_from", "residue_mm",
        "rim", "cap", "septum", "dirty", "cortex_texture", "cortex_patches", "white_texture",
        "flow", "tracts",
    )  # fmt: skip
    usual = dict.fromkeys(names, 0.0) | {"cortex": 1.2, "nuclei": 1.1, "fluid": 0.3}
    usual |= {"residue_from": 99.0} | levels
    shape = (1, 1, 8)
    tissue = [np.zeros(shape, np.float32) for _ in range(11)]
    for kind in range(4):
        tissue[kind][0, 0, 2 * kind : 2 * kind + 2] = 1
    for place in (8, 9):
        tissue[place][0, 0, 1::2] = 1
    tissue[6][:], tissue[7][:], tissue[5][:] = 20.0, 30.0, 3.0
    none = np.zeros(shape, np.float32)
    values = np.array([usual[name] for name in names], np.float32)
    return healthy_signal(tuple(tissue), (none,) * 5, none + 1, none, values)[0, 0]


def test_pure_tissues_have_their_levels() -> None:
    np.testing.assert_allclose(healthy(), [1, 1, 1.2, 1.2, 1.1, 1.2, 0.3, 0.3], atol=1e-6)


def test_bright_places_brighten_what_they_name() -> None:
    limbic = healthy(limbic=0.25)
    # Fornix by 0.4 of it; cortex, and what lies as deep as nuclei, wholly; fluid not.
    np.testing.assert_allclose(limbic, [1, 1.1, 1.2, 1.45, 1.1, 1.45, 0.3, 0.3], atol=1e-6)
    np.testing.assert_allclose(healthy(tracts=0.2)[:4], [1, 1.2, 1.2, 1.2], atol=1e-6)


def test_caps_fall_off_with_the_square_of_the_distance() -> None:
    np.testing.assert_allclose(healthy(cap=0.5)[0], 1 + 0.5 / (1 + (20 / 3.5) ** 2), atol=1e-6)
