"""Lesions that appear, grow, shrink and vanish, and always add up."""

from __future__ import annotations

import numpy as np
import pytest

from lesion_dynamics.phantom.lesion_course import draw_sizes, lesion_course


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_sizes_sum_to_the_total_and_are_log_normal() -> None:
    sizes = draw_sizes(rng(), 200_000.0)
    assert sizes.sum() == pytest.approx(200_000.0)
    logs = np.log(sizes)
    # Truncation from below at 7 mm3 moves the mean of ln from 2.9 to about 3.3.
    assert logs.mean() == pytest.approx(3.25, abs=0.25)
    assert logs.std() == pytest.approx(1.2, abs=0.25)


def test_no_volume_is_no_lesion() -> None:
    course = lesion_course(rng(), np.zeros(3), np.zeros(2))
    assert course.volumes_mm3.sum() == 0
    assert set(course.kinds) <= {"resolving", "new"}


@pytest.mark.parametrize("seed", range(5))
def test_attacks_add_lesions(seed: int) -> None:
    totals = np.array([1000.0, 3000.0])
    course = lesion_course(rng(seed), totals, np.array([2000.0]))
    before, after = course.volumes_mm3[:, 0], course.volumes_mm3[:, 1]
    assert after[before == 0].sum() >= 2000.0 - 1e-6
    assert after.sum() == pytest.approx(3000.0)


def test_a_shrinking_total_shrinks_lesions() -> None:
    course = lesion_course(rng(), np.array([2000.0, 1000.0]), np.zeros(1))
    assert "shrinking" in course.kinds or "resolving" in course.kinds
    assert course.volumes_mm3[:, 1].sum() == pytest.approx(1000.0)
