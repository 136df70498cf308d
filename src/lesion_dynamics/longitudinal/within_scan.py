"""Repeatability from repeated measurements: within-scan deviation, variation, detectable change.

The measurements of one scan (true rescans, or the scan as it is and its perturbed copies, or those
copies alone) are replicates. Their variance about their own mean, averaged over scans, is the
within-scan variance (Bland and Altman 1999, doi 10.1177/096228029900800204, section 5); the
smallest detectable change of one participant is ``1.96 sqrt(2) SD`` (Bland and Altman's
repeatability coefficient; Weir 2005, doi 10.1519/15184.1). Formulas only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesion_dynamics.longitudinal.volume_error import Z_95

Floats = NDArray[np.float64]
SCAN = ["participant_id", "session_id", "diagnosis"]
POOLED = "pooled"
ALL = "all"
SUMMARY_COLUMNS = (
    "perturbation", "diagnosis", "load_mm3", "scans", "mean_volume_mm3", "mean_difference_mm3",
    "within_sd_mm3", "coefficient_of_variation_percent", "scans_in_coefficient",
    "smallest_detectable_change_mm3",
)  # fmt: skip
_ROUNDS = 200
_CONVERGED = 1e-10
_FLOOR = 1e-6  # of the mean variance: what a scan without any difference is weighted with


def scan_variances(
    differences: pd.DataFrame, *, among_copies: Collection[str] = ()
) -> pd.DataFrame:
    """Variance between the replicates of every scan and perturbation.

    Parameters
    ----------
    differences : SCAN, perturbation, original_lesion_volume_mm3, lesion_volume_mm3: one row a
        replicate beside the original. The original is a replicate like the others.
    among_copies : perturbations of which only the copies are replicates, because all of them
        differ from the original alike; a scan with a single copy is left out of these.

    Returns
    -------
    SCAN, perturbation, volume_mm3 (mean of the replicates), difference_mm3 (mean of the copies
    less the original), variance_mm6 (unbiased), freedom (replicates less one).
    """
    rows = []
    for key, own in differences.groupby([*SCAN, "perturbation"], sort=True):
        original = float(own["original_lesion_volume_mm3"].iloc[0])
        again = own["lesion_volume_mm3"].to_numpy(dtype=np.float64)
        assert isinstance(key, tuple)
        replicates = again if key[-1] in among_copies else np.append(again, original)
        if len(replicates) < 2:
            continue
        rows.append(
            {
                **dict(zip((*SCAN, "perturbation"), key, strict=True)),
                "volume_mm3": float(replicates.mean()),
                "difference_mm3": float(again.mean()) - original,
                "variance_mm6": float(replicates.var(ddof=1)),
                "freedom": len(replicates) - 1,
            }
        )
    columns = (*SCAN, "perturbation", "volume_mm3", "difference_mm3", "variance_mm6", "freedom")
    return pd.DataFrame(rows, columns=list(columns))


def pooled_variances(variances: pd.DataFrame, pooled: Sequence[str]) -> pd.DataFrame:
    """One row a scan in which the variances of several perturbations are added.

    They are changed independently of each other here, and at once in a rescan: the variances of
    independent causes add. Scans without all of them are left out.
    """
    own = variances[variances["perturbation"].isin(pooled)]
    grouped = own.groupby(SCAN, sort=True)
    table = grouped.agg(
        volume_mm3=("volume_mm3", "mean"),
        difference_mm3=("difference_mm3", "sum"),
        variance_mm6=("variance_mm6", "sum"),
        freedom=("freedom", "sum"),
        found=("perturbation", "size"),
    ).reset_index()
    table.insert(len(SCAN), "perturbation", POOLED)
    return table[table["found"] == len(set(pooled))].drop(columns="found")


def summary(
    variances: pd.DataFrame, *, load_edges_mm3: Sequence[float], smallest_cv_volume_mm3: float
) -> pd.DataFrame:
    """`SUMMARY_COLUMNS` by perturbation, diagnosis and class of load, and over all of them.

    within_sd_mm3 : ``sqrt(mean variance)``. coefficient_of_variation_percent : root of the mean
    squared coefficient of the single scans, of those with ``smallest_cv_volume_mm3`` or more.
    """
    labels = _load_labels(load_edges_mm3)
    classes = np.searchsorted(np.asarray(load_edges_mm3), variances["volume_mm3"], side="right")
    table = variances.assign(load_mm3=[labels[index] if labels else ALL for index in classes])
    rows = []
    for name in dict.fromkeys(table["perturbation"]):
        for diagnosis in (ALL, *sorted(set(table["diagnosis"]))):
            for load in (ALL, *labels):
                own = table[
                    (table["perturbation"] == name)
                    & ((table["diagnosis"] == diagnosis) | (diagnosis == ALL))
                    & ((table["load_mm3"] == load) | (load == ALL))
                ]
                if len(own):
                    found = _summary_of(own, smallest_cv_volume_mm3)
                    rows.append(
                        {"perturbation": name, "diagnosis": diagnosis, "load_mm3": load, **found}
                    )
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def _load_labels(edges: Sequence[float]) -> list[str]:
    if not edges:
        return []
    written = [f"{edge:g}" for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(written)]
    return [f"below {written[0]}", *between, f"{written[-1]} and more"]


def _summary_of(own: pd.DataFrame, smallest: float) -> dict[str, float]:
    volumes = own["volume_mm3"].to_numpy(dtype=np.float64)
    variance = own["variance_mm6"].to_numpy(dtype=np.float64)
    freedom = own["freedom"].to_numpy(dtype=np.float64)
    within = float(np.sqrt(np.average(variance, weights=freedom)))
    counted = volumes >= smallest
    variation = float("nan")
    if counted.any():
        squares = variance[counted] / volumes[counted] ** 2
        variation = 100.0 * float(np.sqrt(np.average(squares, weights=freedom[counted])))
    return {
        "scans": len(own),
        "mean_volume_mm3": float(volumes.mean()),
        "mean_difference_mm3": float(own["difference_mm3"].mean()),
        "within_sd_mm3": within,
        "coefficient_of_variation_percent": variation,
        "scans_in_coefficient": int(counted.sum()),
        "smallest_detectable_change_mm3": smallest_detectable_change(within),
    }


def smallest_detectable_change(within_sd_mm3: float) -> float:
    """``1.96 sqrt(2) SD``: a change that noise alone exceeds once in 20."""
    return Z_95 * float(np.sqrt(2.0)) * within_sd_mm3


def noise_by_load(volumes: Floats, variances: Floats, freedom: Floats) -> tuple[float, float]:
    """noise_mm3 and noise_share of ``variance = noise_mm3^2 + (noise_share x volume)^2``.

    A variance from f degrees of freedom scatters about its expectation with the standard deviation
    ``sqrt(2 / f)`` times that: the quasi-likelihood of a variance (gamma family, identity link;
    McCullagh and Nelder 1989, chapter 8), by iteratively reweighted least squares, neither part
    below 0. Unweighted, the largest volumes alone would decide.

    volumes, variances, freedom : (n,), from at least one scan. All variances 0 give 0 and 0.
    """
    from scipy.optimize import nnls

    mean = float(np.average(variances, weights=freedom))
    if mean == 0.0:
        return 0.0, 0.0
    # In units in which both columns are about 1.
    scale = float(np.mean(volumes**2)) or 1.0
    design = np.column_stack([np.ones_like(volumes), volumes**2 / scale])
    target = variances / mean
    fitted = np.ones_like(target)
    parts = np.zeros(2)
    for _ in range(_ROUNDS):
        weight = np.sqrt(freedom) / np.maximum(fitted, _FLOOR)
        parts, before = nnls(design * weight[:, None], target * weight)[0], parts
        fitted = design @ parts
        if np.abs(parts - before).max() < _CONVERGED:
            break
    return float(np.sqrt(parts[0] * mean)), float(np.sqrt(parts[1] * mean / scale))
