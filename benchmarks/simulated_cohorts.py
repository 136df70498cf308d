"""Cohorts drawn from the published study's size, skew and zeros, with the truth known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

N_MS, N_NMOSD = 31, 30
# ln of the published medians at baseline; spreads of the phantom's disease course.
LOG_MEDIAN = {"MS": np.log(3493), "NMOSD": np.log(640)}
LOG_SPREAD = {"MS": 1.1, "NMOSD": 1.4}
LESION_FREE = {"MS": 0.0, "NMOSD": 0.15}
UNCHANGED = {"MS": 0.05, "NMOSD": 0.35}
NOISE_SHARE = 0.05
"""Standard deviation of a measured volume as a share of it."""


@dataclass(frozen=True)
class Growth:
    """Annual growth in mm3: a centre, and a spread that grows with the square root of volume.

    skew : 0: symmetric about the centre (the null of a signed-rank test); 1: log-normal tails.
    """

    centre: dict[str, float]
    spread: dict[str, float]
    skew: float


NULL = Growth(centre={"MS": 0.0, "NMOSD": 0.0}, spread={"MS": 3.5, "NMOSD": 2.5}, skew=0.0)
PUBLISHED = Growth(centre={"MS": 193.0, "NMOSD": 25.0}, spread={"MS": 6.0, "NMOSD": 10.0}, skew=1.0)


def rates(
    rng: np.random.Generator, diagnosis: str, n: int, growth: Growth
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) baseline volumes in mm3 and (n,) rates in mm3/year, zeros among both."""
    start = np.exp(rng.normal(LOG_MEDIAN[diagnosis], LOG_SPREAD[diagnosis], n))
    size = np.abs(rng.standard_t(5, n)) if not growth.skew else rng.lognormal(-0.3, 0.9, n)
    sign = np.where(rng.random(n) < 0.5, -1, 1)
    spread = growth.spread[diagnosis] * np.sqrt(start)
    moved = sign * spread * size
    if growth.skew:
        # Gains reach further than losses; centred so that the median stays at the centre.
        moved = np.where(sign > 0, moved, 0.35 * moved)
    rate = growth.centre[diagnosis] + moved
    free = rng.random(n) < LESION_FREE[diagnosis]
    unchanged = free | (rng.random(n) < UNCHANGED[diagnosis])
    if not growth.skew or not growth.centre[diagnosis]:
        rate = np.where(unchanged, 0.0, rate)
    else:
        rate = np.where(free, 0.0, rate)
    return np.where(free, 0.0, start), rate.round(3)


def changes(
    rng: np.random.Generator, growth: Growth, *, exchangeable: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Annualised changes of 31 MS and 30 NMOSD participants.

    exchangeable : both diagnoses from one mixture: the null of a comparison.
    """
    ms = rates(rng, "MS", N_MS, growth)[1]
    nmosd = rates(rng, "NMOSD", N_NMOSD, growth)[1]
    if exchangeable:
        together = rng.permutation(np.concatenate([ms, nmosd]))
        return together[:N_MS], together[N_MS:]
    return ms, nmosd


def scans(rng: np.random.Generator, growth: Growth, *, exchangeable: bool) -> pd.DataFrame:
    """Two to five scans a participant, with measurement noise; the remission stretch of each."""
    rows = []
    start, rate, diagnosis = [], [], []
    for name, n in (("MS", N_MS), ("NMOSD", N_NMOSD)):
        own = rates(rng, name, n, growth)
        start.append(own[0])
        rate.append(own[1])
        diagnosis += [name] * n
    starts, slopes = np.concatenate(start), np.concatenate(rate)
    if exchangeable:
        diagnosis = list(rng.permutation(diagnosis))
    for i, (begin, slope, name) in enumerate(zip(starts, slopes, diagnosis, strict=True)):
        years = np.concatenate([[0.0], np.cumsum(rng.uniform(0.6, 1.6, rng.integers(1, 5)))])
        volumes = np.maximum(begin + slope * years, 0)
        volumes = np.maximum(volumes * (1 + rng.normal(0, NOISE_SHARE, years.size)), 0)
        rows += [
            (f"sub-{i:02d}", i, f"ses-{s}", year, volume, "scanner1", name)
            for s, (year, volume) in enumerate(zip(years, volumes.round(3), strict=True))
        ]
    names = ["participant_id", "stretch", "session_id", "years", "lesion_volume_mm3", "scanner"]
    return pd.DataFrame(rows, columns=[*names, "diagnosis"])
