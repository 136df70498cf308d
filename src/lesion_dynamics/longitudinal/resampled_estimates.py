"""Rank-based estimates with a bootstrap interval over participants, beside the test's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.longitudinal.estimate import MINIMUM_PARTICIPANTS, Estimate
from lesion_dynamics.longitudinal.medians import RESAMPLED_UP_TO
from lesion_dynamics.longitudinal.participant_bootstrap import (
    bca_interval,
    deltas,
    pseudomedians,
    resampled,
    resampled_pairs,
    shifts,
)
from lesion_dynamics.settings.study import StudySettings

Floats = NDArray[np.float64]
PAIRS_UP_TO = 5_000
"""Pairs of one resample; above, all draws take minutes and the test's interval is as good."""


def pseudomedian_resampled(typical: Estimate, values: Floats, settings: StudySettings) -> Estimate:
    """``typical`` with a BCa interval of the pseudomedian in place of the test and its interval."""
    plain = _plain(typical)
    n = values.size
    if n < MINIMUM_PARTICIPANTS or np.ptp(values) == 0:
        return plain.noted("no interval: too few participants, or all changes the same")
    if n > RESAMPLED_UP_TO or n * (n + 1) // 2 > PAIRS_UP_TO:
        return plain.noted(f"not resampled: {n} participants")
    draws, jackknife = resampled(
        pseudomedians, values, draws=settings.bootstrap_draws, seed=settings.seed
    )
    return _with_bca(plain, draws, jackknife, settings)


def between_resampled(
    found: Estimate, statistic: str, first: Floats, second: Floats, settings: StudySettings
) -> Estimate:
    """``found`` (a shift or Cliff's delta) with a BCa interval, diagnoses resampled apart."""
    plain = _plain(found)
    if min(first.size, second.size) < MINIMUM_PARTICIPANTS:
        return plain.noted("no interval: too few participants")
    if first.size * second.size > PAIRS_UP_TO:
        return plain.noted(f"not resampled: {first.size + second.size} participants")
    chosen = shifts if statistic == "shift" else deltas
    draws, jackknife = resampled_pairs(
        chosen, first, second, draws=settings.bootstrap_draws, seed=settings.seed
    )
    return _with_bca(plain, draws, jackknife, settings)


def _plain(found: Estimate) -> Estimate:
    nothing = float("nan")
    without_test = replace(found, p_value=nothing, test="", note="")
    return without_test.with_interval(nothing, nothing, level=nothing, method="")


def _with_bca(
    plain: Estimate, draws: Floats, jackknife: Floats, settings: StudySettings
) -> Estimate:
    level = settings.interval_level
    low, high, method = bca_interval(plain.estimate, draws, jackknife, level=level)
    if not method:
        return plain.noted("every draw is the same: no interval")
    return plain.with_interval(low, high, level=level, method=method)
