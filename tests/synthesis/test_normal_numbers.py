"""The normal numbers against their distribution, their functions against numpy."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import stats

from lesion_dynamics.synthesis.normal_numbers import exp2, fill_with_normals, log2


def numbers(seed: int, count: int = 400_001) -> NDArray[np.float32]:
    found = np.full(count, np.nan, np.float32)
    fill_with_normals(found, seed)
    return found


def test_numbers_are_normal_out_to_the_tails() -> None:
    found = numbers(2**62 + 12345).astype(np.float64)
    assert stats.kstest(found, "norm").pvalue > 0.01
    for order, expected in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0), (6, 15.0)):
        spread = np.std(found**order) / np.sqrt(len(found))
        assert abs(np.mean(found**order) - expected) < 4 * spread
    for bound in (3.0, 4.0):
        beyond = 2 * stats.norm.sf(bound) * len(found)
        assert abs((np.abs(found) > bound).sum() - beyond) < 4 * np.sqrt(beyond)


def test_numbers_do_not_know_each_other_nor_those_of_the_next_seed() -> None:
    found, others = numbers(77).astype(np.float64), numbers(78).astype(np.float64)
    half = len(found) // 2
    pairs = [(found[:half], found[-half:]), (found, others), (found[:-106], found[106:])]
    pairs += [(found[:-1], found[1:]), (found, numbers(77 + 2**32).astype(np.float64))]
    for first, second in pairs:
        limit = 4 / np.sqrt(len(first))
        assert abs(np.corrcoef(first, second)[0, 1]) < limit
        assert abs(np.corrcoef(first**2, second**2)[0, 1]) < limit


def test_one_seed_is_one_sequence() -> None:
    np.testing.assert_array_equal(numbers(5, 1001), numbers(5, 1001))
    assert np.isfinite(numbers(5, 1)).all()


@njit
def _each(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    first, second = np.empty_like(values), np.empty_like(values)
    for k in range(len(values)):
        first[k], second[k] = log2(values[k]), exp2(log2(values[k]))
    return first, second


def test_logarithm_and_power_are_those_of_float64() -> None:
    values = np.concatenate([np.geomspace(1e-30, 1e30, 20_001), np.linspace(0.5, 2, 10_001)])
    values = values.astype(np.float32)
    logarithm, back = _each(values)
    exact = np.log2(values.astype(np.float64))
    np.testing.assert_allclose(logarithm, exact, rtol=3e-7, atol=3e-7)
    np.testing.assert_allclose(back, 2.0 ** logarithm.astype(np.float64), rtol=5e-7)
