"""The compiled loops against numpy and scipy, which compute the same in another way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from lesion_dynamics.synthesis.fields import Field, blur, thick_slices
from lesion_dynamics.synthesis.healthy import healthy_signals, of_distance
from lesion_dynamics.synthesis.kernels import as_input, received, stretched, whole_field
from lesion_dynamics.synthesis.lesions_over import add_lesions, occupied
from lesion_dynamics.synthesis.tissues import MAPS, PLACES, STEPS, ZEROS

SHAPE = (7, 9, 11)
FLAT = np.ones((2, *SHAPE[1:]), np.float32)
"""A field that is 1 everywhere."""


def volumes(count: int, *, seed: int = 0) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return [rng.random(SHAPE).astype(np.float32) for _ in range(count)]


def test_a_lattice_is_interpolated_as_by_scipy() -> None:
    lattice = np.random.default_rng(1).normal(size=(4, 5, 6)).astype(np.float32)
    offsets = np.array([0.3, 0.9, 0.0], dtype=np.float32)
    places = [np.arange(size) / 3.5 + offset for size, offset in zip(SHAPE, offsets, strict=True)]
    grid = np.meshgrid(*places, indexing="ij")
    expected = ndimage.map_coordinates(lattice, grid, order=1)
    found = whole_field(stretched(lattice, offsets, 3.5, *SHAPE[1:]), 0.3, 3.5, SHAPE[0])
    np.testing.assert_allclose(found, expected, atol=1e-5)


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


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_differences_of_running_sums(axis: int) -> None:
    """Means between fractional places of the running sum, interpolated between their centres."""
    thickness, phase, size = 2.7, 0.4, 13
    volume = np.random.default_rng(4).random((6, 13, 8) if axis == 1 else (13, 6, 13))
    line = np.moveaxis(volume, axis, -1)
    count = int(np.ceil((size + phase * thickness) / thickness)) + 1
    centres = (np.arange(count) - 0.5 - phase) * thickness
    low = np.clip(centres - thickness / 2 + 0.5, 0, size - 1)
    high = np.clip(centres + thickness / 2 + 0.5, 1, size)

    def along(values: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
        nodes = np.arange(values.shape[-1])
        return np.apply_along_axis(lambda one: np.interp(places, nodes, one), -1, values)

    total = np.concatenate([np.zeros_like(line[..., :1]), line.cumsum(-1)], axis=-1)
    mean = (along(total, high) - along(total, low)) / np.maximum(high - low, 0.5)
    expected = np.moveaxis(along(mean, (np.arange(size) - centres[0]) / thickness), -1, axis)
    seen = thick_slices(
        torch.from_numpy(volume.astype(np.float32)), axis=axis, thickness=thickness, phase=phase
    )
    np.testing.assert_allclose(seen, expected, atol=1e-5)


def test_lesions_replace_what_lies_below_them_as_far_as_they_reach() -> None:
    signal, core, uneven = volumes(3)
    packed = np.random.default_rng(5).integers(0, 256, (len(MAPS), *SHAPE), dtype=np.uint8)
    around, brightness, fluid = (
        packed[PLACES[name]] * STEPS[PLACES[name]]
        for name in ("lesion_surroundings", "lesion_brightness", "fluid")
    )
    box = (slice(1, 6), slice(2, 9), slice(3, 8))
    reach = np.maximum(core, 0.3 * np.minimum(2 * around, 1))
    ill = (1 + 0.7 * brightness * (1 + 0.12 * uneven)) * (1 - fluid) + 0.2 * fluid
    expected = (reach * (ill - signal))[box]
    sick = signal.copy()
    planes = np.concatenate([uneven, uneven[-1:]])  # nodes at every voxel
    added = add_lesions(
        sick, packed, STEPS, core[box].copy(), np.array([1, 2, 3]), planes, 0.0, 1.0,
        np.array([0.3, 0.7, 0.2], np.float32),
    )  # fmt: skip
    np.testing.assert_allclose(added, expected, atol=1e-5)
    np.testing.assert_allclose(sick[box], signal[box] + expected, atol=1e-5)
    sick[box] = signal[box]
    np.testing.assert_array_equal(sick, signal)


def test_planes_that_hold_anything_are_found() -> None:
    volume = np.zeros(SHAPE, np.uint8)
    volume[2, 3, 4], volume[5, 3, 9] = 4, 1
    x, y, z = (np.flatnonzero(line).tolist() for line in occupied(volume))
    assert (x, y, z) == ([2, 5], [3], [4, 9])


@pytest.mark.parametrize("gamma", [1.0, 0.8])
def test_what_is_received_has_gain_and_noise_and_is_not_negative(gamma: float) -> None:
    signal, noise = volumes(2)
    planes = np.random.default_rng(6).normal(size=(3, *SHAPE[1:])).astype(np.float32) * 4
    field = Field(planes, 0.25, 5.0, SHAPE[0]).whole().numpy()
    levels = np.array([0.3, 2.0, gamma], np.float32)
    seen = received(signal, noise - 0.7, planes, 0.25, 5.0, levels)
    gain = np.clip(1 + 0.3 * field, 0.4, 1.8)
    expected = np.maximum(signal * gain + 2.0 * (noise - 0.7), 0) ** gamma
    np.testing.assert_allclose(seen, expected, atol=1e-5)
    assert (seen == 0).any()
    assert gain.min() == pytest.approx(0.4)


def test_input_is_normalised_where_it_is_visible() -> None:
    values = np.array([[[1.0, 2.0, 99.0, 0.0]]], np.float32)
    visible = np.array([[[False, True, True, True]]])
    z = as_input(values, visible, 1.0, 0.5, -4.0, 8.0)
    np.testing.assert_array_equal(z[0, 0], [-4.0, 2.0, 8.0, -2.0])


LEVELS = (
    "cortex", "limbic", "nuclei", "fluid", "choroid", "residue", "residue_from", "residue_mm",
    "rim", "cap", "septum", "dirty", "cortex_texture", "cortex_patches", "white_texture",
    "flow", "tracts", "nuclei_patches", "specks",
)  # fmt: skip


def signals_of(
    packed: NDArray[np.uint8], textures: list[NDArray[np.float32]], *levels: dict[str, float]
) -> NDArray[np.float32]:
    """Signals with textures that have a node at every voxel along x."""
    planes = tuple(np.concatenate([one, one[-1:]]) for one in textures[1:])
    rows = np.array([[one[name] for name in LEVELS] for one in levels], np.float32)
    return healthy_signals(
        packed, STEPS, ZEROS, of_distance(STEPS, ZEROS), textures[0],
        planes, (0.0,) * 4, (1.0,) * 4, rows,
    )  # fmt: skip


def test_fused_signals_are_those_of_whole_volumes_one_after_the_other() -> None:
    """The formula in float64 on unpacked maps; both sequences in one pass, odd sizes, a view."""
    rng = np.random.default_rng(7)
    shape = (3, 11, 19)
    packed = rng.integers(0, 256, (len(MAPS), 5, 13, 21), dtype=np.uint8)[:, 1:4, 2:, 1:-1]
    packed[PLACES["depth_mm"]] = rng.integers(40, 140, shape)
    packed[PLACES["ventricle_distance_mm"]] //= 4
    packed[PLACES["side_mm"]] //= 16
    textures = [rng.normal(size=shape).astype(np.float32) for _ in range(5)]
    looks = [dict(zip(LEVELS, rng.uniform(0.1, 1.0, len(LEVELS)), strict=True)) for _ in range(2)]
    looks[0] |= {"residue_mm": 4.0}
    looks[1] |= {"rim": 0.0, "septum": 0.0}
    maps = {name: packed[row] * float(STEPS[row]) + ZEROS[row] for name, row in PLACES.items()}
    found = signals_of(packed, textures, *looks)
    for one, look in zip(found, looks, strict=True):
        np.testing.assert_allclose(one, plain_signal(maps, textures, look), atol=2e-5)


def plain_signal(
    maps: dict[str, NDArray[np.float64]],
    textures: list[NDArray[np.float32]],
    look: dict[str, float],
) -> NDArray[np.float64]:
    fine, patch, even, dirty, spot = (one.astype(np.float64) for one in textures)
    near, depth, lobe = maps["ventricle_distance_mm"], maps["depth_mm"], maps["limbic"]
    white = 1 + look["white_texture"] * even + look["tracts"] * maps["tracts"]
    white += look["dirty"] * np.maximum(dirty, 0) * np.exp(-near / 25)
    white += look["cap"] / (1 + (near / 3.5) ** 2) + 0.4 * look["limbic"] * lobe
    deep = 1 / (1 + np.exp(-(depth - 10) / 2))
    cortex = look["cortex"] + look["limbic"] * np.maximum(1 + 0.5 * dirty, 0) * np.maximum(
        0.5 * deep, lobe
    )
    specks = look["specks"] * (spot + np.maximum(spot - 1, 0))
    cortex *= 1 + look["cortex_texture"] * fine + look["cortex_patches"] * patch + specks
    uneven = (
        1 + 0.5 * look["white_texture"] * even + look["nuclei_patches"] * (patch + dirty) + specks
    )
    nuclei = look["nuclei"] * uneven
    nuclei += (cortex - nuclei) * lobe
    fluid = look["fluid"] + look["flow"] * np.clip(spot - 1.2, 0, 1)
    fluid = np.where((maps["ventricle"] > 0.7) & (spot > 1), look["choroid"], fluid)
    left = (depth < look["residue_mm"]) & (spot > look["residue_from"])
    fluid = np.where(left, look["residue"], fluid)
    signal = maps["white"] * white + maps["cortex"] * cortex + maps["nuclei"] * nuclei
    solid = 1 - maps["fluid"]
    coat = np.clip(2.5 * maps["ventricle_coat"] * solid, 0, 1)
    signal += maps["fluid"] * fluid + look["rim"] * coat * np.clip(0.7 + 0.3 * patch, 0, 1.3)
    middle, wall = np.clip((2.5 - maps["side_mm"]) / 1.5, 0, 1), np.clip((5 - near) / 2, 0, 1)
    return signal + look["septum"] * middle * wall * solid


def healthy(**levels: float) -> NDArray[np.float32]:
    """A voxel column: white, cortex, nuclei, fluid, each pure; limbic and tract in the odd ones."""
    usual = dict.fromkeys(LEVELS, 0.0) | {"cortex": 1.2, "nuclei": 1.1, "fluid": 0.3}
    usual |= {"residue_from": 99.0} | levels
    shape = (1, 1, 8)
    packed = np.zeros((len(MAPS), *shape), np.uint8)
    for kind in range(4):
        packed[kind, 0, 0, 2 * kind : 2 * kind + 2] = 255
    for name in ("limbic", "tracts"):
        packed[PLACES[name], 0, 0, 1::2] = 255
    packed[PLACES["ventricle_distance_mm"]], packed[PLACES["side_mm"]] = 80, 120  # 20, 30 mm
    packed[PLACES["depth_mm"]] = 0  # -10 mm: no deep cortex
    none = [np.zeros(shape, np.float32) for _ in range(5)]
    return signals_of(packed, none, usual)[0, 0, 0]


def test_pure_tissues_have_their_levels() -> None:
    np.testing.assert_allclose(healthy(), [1, 1, 1.2, 1.2, 1.1, 1.2, 0.3, 0.3], atol=1e-6)


def test_bright_places_brighten_what_they_name() -> None:
    limbic = healthy(limbic=0.25)
    # Fornix by 0.4 of it; cortex, and what lies as deep as nuclei, wholly; fluid not.
    np.testing.assert_allclose(limbic, [1, 1.1, 1.2, 1.45, 1.1, 1.45, 0.3, 0.3], atol=1e-5)
    np.testing.assert_allclose(healthy(tracts=0.2)[:4], [1, 1.2, 1.2, 1.2], atol=1e-6)


def test_caps_fall_off_with_the_square_of_the_distance() -> None:
    np.testing.assert_allclose(healthy(cap=0.5)[0], 1 + 0.5 / (1 + (20 / 3.5) ** 2), atol=1e-6)
