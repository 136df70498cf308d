from __future__ import annotations

import numpy as np
import pytest

from lesion_dynamics.lesions.map_contrast import contrast_maps
from lesion_dynamics.lesions.regions import REGIONS, shares_of_regions

SHAPE = (20, 20, 20)


def place(x: slice, y: slice = slice(None), z: slice = slice(None)) -> np.ndarray:
    where = np.zeros(SHAPE, dtype=bool)
    where[x, y, z] = True
    return where


MAPS = {
    "infratentorial": place(slice(None), slice(None), slice(0, 6)),
    "near_ventricle": place(slice(0, 4), slice(None), slice(6, None)),
    "near_cortex": place(slice(16, None), slice(None), slice(6, None)),
}


def test_every_lesion_goes_whole_to_the_first_region_that_it_fits() -> None:
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[10:12, 2:4, 3:7] = 1  # three of four planes below: infratentorial, 16 voxels
    mask[3:8, 10, 10] = 1  # touches by one voxel: periventricular, 5
    mask[12:17, 15, 12] = 1  # touches the cortex: 5
    mask[8:12, 8, 15:17] = 1  # touches nothing: 8
    mask[9, 18, 5:7] = 1  # half of it below is not more than half: deep, 2
    found = shares_of_regions(mask, **MAPS, connectivity=26)
    assert tuple(found) == REGIONS
    assert [found[name].lesion_count for name in REGIONS] == [1, 1, 1, 2]
    assert [found[name].share for name in REGIONS] == pytest.approx(
        [16 / 36, 5 / 36, 5 / 36, 10 / 36]
    )


def test_a_lesion_from_the_ventricle_to_the_cortex_is_periventricular() -> None:
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[2:18, 10, 10] = 1
    found = shares_of_regions(mask, **MAPS, connectivity=6)
    assert found["periventricular"].share == 1.0


def test_a_scan_without_lesions_has_none_in_every_region() -> None:
    found = shares_of_regions(np.zeros(SHAPE, dtype=np.uint8), **MAPS, connectivity=26)
    assert all((own.share, own.lesion_count) == (0.0, 0) for own in found.values())


def groups(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lesions of 2 n participants at 30 voxels; the first three differ between the groups."""
    rng = np.random.default_rng(seed)
    first = np.arange(2 * n) < n
    chance = np.full((2 * n, 30), 0.4)
    chance[first, :3], chance[~first, :3] = 0.95, 0.05
    return (rng.random(chance.shape) < chance).astype(np.uint8), first, rng.normal(size=(2 * n, 2))


def test_t_is_that_of_the_linear_model_with_its_covariates() -> None:
    lesions, first, covariates = groups(15, seed=2)
    found = contrast_maps(
        lesions, in_first_group=first, covariates=covariates, permutations=50, seed=1
    )
    design = np.column_stack([np.ones(30), first, covariates])
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ design.T @ lesions
    residual = lesions - design @ beta
    variance = (residual**2).sum(axis=0) / (30 - 4)
    expected = beta[1] / np.sqrt(variance * inverse[1, 1])
    one_and_the_same = np.abs(expected) > 1e6
    assert list(np.flatnonzero(one_and_the_same)) == [2]
    np.testing.assert_allclose(
        found.t[~one_and_the_same], expected[~one_and_the_same], rtol=1e-3, atol=1e-3
    )
    assert found.t[2] > 1000


def test_the_corrected_p_finds_the_voxels_that_differ_and_no_others() -> None:
    lesions, first, covariates = groups(15, seed=2)
    found = contrast_maps(
        lesions, in_first_group=first, covariates=covariates, permutations=400, seed=1
    )
    assert (found.p_fwe[:3] < 0.05).all()
    assert (found.p_fwe[3:] > 0.05).all()
    assert (found.t[:3] > 0).all()
    assert found.p_fwe.min() >= 1 / 401 - 1e-9
    turned = contrast_maps(
        lesions, in_first_group=~first, covariates=covariates, permutations=400, seed=1
    )
    np.testing.assert_allclose(turned.t, -found.t, rtol=1e-6, atol=1e-9)
    again = contrast_maps(
        lesions, in_first_group=first, covariates=covariates, permutations=400, seed=1
    )
    assert np.array_equal(again.p_fwe, found.p_fwe)


def test_without_a_difference_the_family_wise_error_is_kept() -> None:
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(40):
        lesions = (rng.random((24, 40)) < 0.35).astype(np.uint8)
        first = rng.permutation(24) < 12
        found = contrast_maps(
            lesions, in_first_group=first, covariates=np.zeros((24, 0)), permutations=60, seed=1
        )
        hits += bool((found.p_fwe < 0.05).any())
    assert hits <= 6  # 2 expected; 7 or more in one of 70 such tests


def test_a_constant_covariate_changes_nothing_and_empty_groups_are_refused() -> None:
    lesions, first, _ = groups(6, seed=5)
    given = {"in_first_group": first, "permutations": 20, "seed": 1}
    without = contrast_maps(lesions, covariates=np.zeros((12, 0)), **given)
    constant = contrast_maps(lesions, covariates=np.ones((12, 1)), **given)
    assert np.array_equal(without.t, constant.t)
    with pytest.raises(ValueError, match="one is empty"):
        contrast_maps(
            lesions, in_first_group=np.ones(12, dtype=bool), covariates=np.zeros((12, 0)),
            permutations=5, seed=1,
        )  # fmt: skip
    with pytest.raises(ValueError, match="too few"):
        contrast_maps(
            lesions[[0, 6]], in_first_group=first[[0, 6]], covariates=np.zeros((2, 0)),
            permutations=5, seed=1,
        )  # fmt: skip
