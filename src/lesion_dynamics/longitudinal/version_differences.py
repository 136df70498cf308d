"""Estimates of two model versions on the same participants, and the interval of their gap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.estimate import MINIMUM_PARTICIPANTS
from lesion_dynamics.longitudinal.measurements import TRUTH
from lesion_dynamics.longitudinal.participant_bootstrap import (
    bca_interval,
    deltas,
    medians,
    pseudomedians,
    resampled,
    resampled_pairs,
    shifts,
)
from lesion_dynamics.longitudinal.resampled_estimates import PAIRS_UP_TO
from lesion_dynamics.longitudinal.study import BETWEEN
from lesion_dynamics.settings.study import StudySettings

Floats = NDArray[np.float64]
QUANTITIES = {
    "remission_change_mm3": "mm3",
    "annualised_change_mm3_per_year": "mm3/year",
}
DIFFERENCE_COLUMNS = (
    "reference", "model_version", "diagnosis", "quantity", "statistic", "unit",
    "reference_estimate", "estimate", "difference", "interval_low", "interval_high",
    "interval_level", "interval_method", "n", "note",
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """Changes of two versions of the same participants, by diagnosis: (n, 2) each."""

    ms: Floats
    nmosd: Floats


def version_pairs(versions: list[str]) -> list[tuple[str, str]]:
    """(reference, other): every version with the one before it, and with the truth."""
    measured = [name for name in versions if name != TRUTH]
    pairs = list(pairwise(measured))
    return pairs + [(TRUTH, name) for name in measured if TRUTH in versions]


def version_differences(
    reference: pd.DataFrame, other: pd.DataFrame, *, names: tuple[str, str], settings: StudySettings
) -> pd.DataFrame:
    """Paired difference of every estimate, other - reference, with a BCa interval.

    A participant drawn is drawn for both versions: what they share cancels.

    Parameters
    ----------
    reference, other : tables of `change_per_participant` on the same scans.
    names : of the two model versions.

    Returns
    -------
    `DIFFERENCE_COLUMNS`. Fewer than 3 participants in a diagnosis, or more than can be
    resampled: no interval, and a note.
    """
    records = [
        {
            "reference": names[0],
            "model_version": names[1],
            "interval_level": settings.interval_level,
            **record,
        }
        for quantity, unit in QUANTITIES.items()
        for record in _of_quantity(_paired(reference, other, quantity), quantity, unit, settings)
    ]
    return pd.DataFrame.from_records(records, columns=list(DIFFERENCE_COLUMNS))


def _paired(reference: pd.DataFrame, other: pd.DataFrame, quantity: str) -> Pair:
    columns = ["participant_id", "diagnosis", quantity]
    both = reference[columns].merge(other[["participant_id", quantity]], on="participant_id")
    both = both.dropna()
    values = both[[f"{quantity}_x", f"{quantity}_y"]].to_numpy(dtype=np.float64)
    of_ms = (both["diagnosis"] == DIAGNOSES[0]).to_numpy(dtype=bool)
    return Pair(ms=values[of_ms], nmosd=values[~of_ms])


def _of_quantity(
    pair: Pair, quantity: str, unit: str, settings: StudySettings
) -> Iterator[dict[str, object]]:
    for diagnosis, group in zip(DIAGNOSES, (pair.ms, pair.nmosd), strict=True):
        for statistic, function in (("median", medians), ("pseudomedian", pseudomedians)):
            key = {"diagnosis": diagnosis, "quantity": quantity, "statistic": statistic}
            found = _one_group(group, function, settings)
            yield {**key, "unit": unit, "n": len(group), **found}
    for statistic, both in (("shift", shifts), ("Cliff's delta", deltas)):
        key = {"diagnosis": BETWEEN, "quantity": quantity, "statistic": statistic}
        found = _two_groups(pair, both, settings)
        own_unit = unit if statistic == "shift" else ""
        yield {**key, "unit": own_unit, "n": len(pair.ms) + len(pair.nmosd), **found}


def _one_group(
    group: Floats, function: Callable[[Floats], Floats], settings: StudySettings
) -> dict[str, object]:
    n = len(group)
    if n == 0 or n * (n + 1) // 2 > PAIRS_UP_TO:
        return {"note": f"not compared: {n} participants"}
    ends = [float(function(group[None, :, side])[0]) for side in (0, 1)]
    if n < MINIMUM_PARTICIPANTS:
        return {**_ends(ends), "note": f"{n} participants: no interval"}
    samples = [
        resampled(function, group[:, side], draws=settings.bootstrap_draws, seed=settings.seed)
        for side in (0, 1)
    ]
    return {**_ends(ends), **_interval(ends, samples, settings)}


def _two_groups(
    pair: Pair, function: Callable[[Floats, Floats], Floats], settings: StudySettings
) -> dict[str, object]:
    n1, n2 = len(pair.ms), len(pair.nmosd)
    if min(n1, n2) == 0 or n1 * n2 > PAIRS_UP_TO:
        return {"note": f"not compared: {n1} and {n2} participants"}
    ends = [float(function(pair.ms[None, :, s], pair.nmosd[None, :, s])[0]) for s in (0, 1)]
    if min(n1, n2) < MINIMUM_PARTICIPANTS:
        return {**_ends(ends), "note": f"{n1} and {n2} participants: no interval"}
    samples = [
        resampled_pairs(
            function, pair.ms[:, side], pair.nmosd[:, side],
            draws=settings.bootstrap_draws, seed=settings.seed,
        )
        for side in (0, 1)
    ]  # fmt: skip
    return {**_ends(ends), **_interval(ends, samples, settings)}


def _ends(ends: list[float]) -> dict[str, object]:
    return {
        "reference_estimate": ends[0],
        "estimate": ends[1],
        "difference": ends[1] - ends[0],
        "note": "",
    }


def _interval(
    ends: list[float], samples: list[tuple[Floats, Floats]], settings: StudySettings
) -> dict[str, object]:
    """Of two versions' (draws, jackknife): the same draw is of the same participants in both."""
    draws, jackknife = (other - reference for reference, other in zip(*samples, strict=True))
    low, high, method = bca_interval(
        ends[1] - ends[0], draws, jackknife, level=settings.interval_level
    )
    found = {"interval_low": low, "interval_high": high, "interval_method": method}
    return found if method else {**found, "note": "the versions differ by the same in every draw"}
