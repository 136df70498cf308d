"""Shapes of true growth: baseline volumes and rates of one diagnosis, drawn anew each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from simulated_cohorts import LESION_FREE, LOG_MEDIAN, LOG_SPREAD, PUBLISHED, rates

from lesion_dynamics.phantom.course_targets import TARGETS

Floats = np.ndarray[Any, np.dtype[np.float64]]
Shape = Callable[[np.random.Generator, str, int], tuple[Floats, Floats]]
"""(n,) baseline volumes in mm3 and (n,) rates in mm3/year."""
_PHANTOM_LESION_FREE = 1 / 6


def _starts(rng: np.random.Generator, diagnosis: str, n: int) -> tuple[Floats, Floats]:
    """Baselines, and 0 or 1 for lesion-free participants."""
    volumes = np.exp(rng.normal(LOG_MEDIAN[diagnosis], LOG_SPREAD[diagnosis], n))
    return volumes, (rng.random(n) >= LESION_FREE[diagnosis]).astype(np.float64)


def published(rng: np.random.Generator, diagnosis: str, n: int) -> tuple[Floats, Floats]:
    """Skewed about the published rates, spread with the square root of the volume."""
    return rates(rng, diagnosis, n, PUBLISHED)


def normal(rng: np.random.Generator, diagnosis: str, n: int) -> tuple[Floats, Floats]:
    """Normal about the published rates, spread in proportion to the volume."""
    start, lesions = _starts(rng, diagnosis, n)
    centre, share = {"MS": (193.0, 0.06), "NMOSD": (25.0, 0.12)}[diagnosis]
    rate = np.maximum(centre + share * start * rng.standard_normal(n), -0.2 * start)
    return start * lesions, (rate * lesions).round(3)


def phantom(rng: np.random.Generator, diagnosis: str, n: int) -> tuple[Floats, Floats]:
    """As the phantom's course draws its participants, but at random instead of stratified."""
    targets = TARGETS[diagnosis]
    load = rng.standard_normal(n)
    follow = targets.rate_follows_load
    score = follow * load + np.sqrt(1 - follow**2) * rng.standard_normal(n)
    if diagnosis == "MS":
        start = targets.first_mm3 * np.exp(targets.baseline_sigma * load)
        return start, np.maximum(273 * np.exp(0.9 * score) - 80, -0.14 * start).round(3)
    start = 1.25 * targets.first_mm3 * np.exp(targets.baseline_sigma * load)
    lesions = (rng.random(n) >= _PHANTOM_LESION_FREE).astype(np.float64)
    rate = np.maximum((95 * score + 25) * (start / targets.first_mm3) ** 0.7, -0.14 * start)
    return start * lesions, (rate * lesions).round(3)


def exponential(rng: np.random.Generator, diagnosis: str, n: int) -> tuple[Floats, Floats]:
    """A share of the volume every year, its logarithm normal; the rate is that over three years."""
    start, lesions = _starts(rng, diagnosis, n)
    centre, spread = {"MS": (0.055, 0.06), "NMOSD": (0.03, 0.1)}[diagnosis]
    rate = start * (np.exp(3 * rng.normal(centre, spread, n)) - 1) / 3
    return start * lesions, (rate * lesions).round(3)


def two_kinds(rng: np.random.Generator, diagnosis: str, n: int) -> tuple[Floats, Floats]:
    """Some progress (gamma), the others hardly change: two modes, whatever the load."""
    start, lesions = _starts(rng, diagnosis, n)
    share, scale = {"MS": (0.5, 250.0), "NMOSD": (0.15, 120.0)}[diagnosis]
    progressing = rng.random(n) < share
    rate = np.where(progressing, rng.gamma(2, scale, n), rng.normal(20, 40, n))
    return start * lesions, (np.maximum(rate, -0.15 * start) * lesions).round(3)


SHAPES: dict[str, Shape] = {
    "published": published,
    "normal": normal,
    "phantom": phantom,
    "exponential": exponential,
    "two kinds": two_kinds,
}
