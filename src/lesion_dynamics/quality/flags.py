"""Flags: which scans stand out from their cohort, and which are bad by themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesion_dynamics.quality.catalogue import Measure
from lesion_dynamics.settings.quality import QualitySettings

_NORMAL_MAD = 1.4826
WHOLE_COHORT = "cohort"
NOTHING = "n/a"


def with_flags(
    table: pd.DataFrame, measures: Sequence[Measure], *, settings: QualitySettings
) -> pd.DataFrame:
    """The table with `compared_with`, `flag_count` and `flags`.

    Robust z: (value - median) / max(1.4826 MAD, the measure's smallest scale), of the scans
    compared with. Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers: 3.5 is their
    limit for one measure.

    Parameters
    ----------
    table : one row a scan: the measures' columns (NaN: not defined) and `scanner` (may be NaN).

    Returns
    -------
    A copy. compared_with : ``scanner NAME``, ``cohort``, or ``n/a`` in a cohort too small.
    flags : what is wrong, separated by "; ", the worst first; "" for nothing.
    """
    found = table.copy()
    compared = _compared_with(found, settings.fewest_scans)
    notes: list[list[tuple[float, str]]] = [[] for _ in range(len(found))]
    for measure in measures:
        values = found[measure.name].to_numpy(dtype=np.float64)
        limit = _absolute_limit(measure, settings)
        medians, zs = _against_others(values, compared, measure, fewest=settings.fewest_scans)
        for row in range(len(found)):
            above = limit is not None and values[row] > limit
            if above or zs[row] > settings.robust_z_limit:
                weight = float(np.nan_to_num(zs[row]))
                said = _said(measure, values[row], medians[row], zs[row], above=above, limit=limit)
                notes[row].append((weight + (1e6 if above else 0.0), said))
    ordered = [sorted(row, key=lambda note: (-note[0], note[1])) for row in notes]
    found["compared_with"] = compared
    found["flag_count"] = [len(row) for row in ordered]
    found["flags"] = ["; ".join(said for _, said in row) for row in ordered]
    return found


def _compared_with(table: pd.DataFrame, fewest: int) -> list[str]:
    if len(table) < fewest:
        return [NOTHING] * len(table)
    counts = table["scanner"].value_counts()
    large = set(counts[counts >= fewest].index)
    return [f"scanner {name}" if name in large else WHOLE_COHORT for name in table["scanner"]]


def _against_others(
    values: NDArray[np.float64], compared: Sequence[str], measure: Measure, *, fewest: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median of the scans compared with, and the robust z towards the bad side, of each row."""
    medians, zs = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
    kinds = np.array(compared)
    for kind in sorted(set(compared) - {NOTHING}):
        rows = kinds == kind
        # A scan of a rare scanner is compared with everybody.
        base = values if kind == WHOLE_COHORT else values[rows]
        base = base[np.isfinite(base)]
        if base.size < fewest:
            continue
        median = float(np.median(base))
        scale = _NORMAL_MAD * float(np.median(np.abs(base - median)))
        away = (values[rows] - median) / max(scale, measure.smallest_scale)
        medians[rows] = median
        zs[rows] = {"high": away, "low": -away, "either": np.abs(away)}[measure.bad]
    return medians, zs


def _absolute_limit(measure: Measure, settings: QualitySettings) -> float | None:
    if measure.name == "brain_at_edge_mm2":
        return settings.brain_at_edge_limit_mm2
    if measure.name.endswith("missing_slices"):
        return float(settings.missing_slices_limit)
    return None


def _said(
    measure: Measure, value: float, median: float, z: float, *, above: bool, limit: float | None
) -> str:
    if above:
        return f"{measure.name} {value:.4g} (limit {limit:.4g})"
    return f"{measure.name} {value:.4g} (others {median:.4g}, robust z {z:.1f})"
