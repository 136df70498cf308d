"""The segmenter's error of a lesion volume: its figures, and what they do to a change."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.same_scans import SCAN
from lesion_dynamics.settings.measurement_error import VolumeErrorFigures

Floats = NDArray[np.float64]
FEWEST_SCANS = 10
"""Scans of a diagnosis from which its error is estimated."""
LARGEST_GAIN_ERROR = 0.15
"""Standard error of a gain from changes, as a share of it, up to which it is taken."""
_TO_STANDARD_DEVIATION, _OF_A_MEDIAN = 1.4826, 1.2533
"""Of a median absolute deviation; of a median against a mean (both normal)."""
Z_95 = 1.959963984540054
"""A change beyond 1.96 standard deviations of its noise is seen once in 20 without one."""

Figures = Mapping[str, VolumeErrorFigures]


def figures_against_truth(
    measured: pd.DataFrame, true: pd.DataFrame, participants: pd.DataFrame
) -> dict[str, VolumeErrorFigures]:
    """Error figures of each diagnosis that has enough scans.

    Gain: what a change is scaled by, so from the changes between the scans of a participant (median
    of measured over true change, weighted by the true change over the volume: least absolute
    deviations); where these are too small against the noise, the Theil-Sen line through the
    participants' mean volumes. Offset: the median of what is left of the means. One badly segmented
    participant tilts neither. Noise: residuals about each participant's own mean
    residual (what stays the same in all scans of a participant cancels in a change), their
    squares regressed on the squared volume (weighted), neither part below zero.

    Parameters
    ----------
    measured, true : participant_id, session_id, lesion_volume_mm3 of the same scans.
    """
    scans = measured.merge(true, on=SCAN, suffixes=("", "_true"))
    scans = scans.merge(participants[["participant_id", "diagnosis"]], on="participant_id")
    found = {}
    for diagnosis in DIAGNOSES:
        own = scans[scans["diagnosis"] == diagnosis]
        if len(own) >= FEWEST_SCANS and own["lesion_volume_mm3_true"].nunique() > 2:
            found[diagnosis] = _figures(own, diagnosis)
    return found


def _figures(scans: pd.DataFrame, diagnosis: str) -> VolumeErrorFigures:
    from scipy.optimize import nnls

    means = scans.groupby("participant_id")[["lesion_volume_mm3", "lesion_volume_mm3_true"]].mean()
    measured, true = means["lesion_volume_mm3"], means["lesion_volume_mm3_true"]
    gain = max(_gain(scans, measured, true), 1e-6)
    offset = float((measured - gain * true).median())
    volumes = scans["lesion_volume_mm3_true"].to_numpy(dtype=np.float64)
    residual = scans["lesion_volume_mm3"] - (offset + gain * volumes)
    by_participant = residual.groupby(scans["participant_id"])
    within = (residual - by_participant.transform("mean")).to_numpy(dtype=np.float64)
    scans_each = by_participant.transform("size").to_numpy(dtype=np.float64)
    several = scans_each > 1
    # A mean of k scans takes 1/k of the variance along.
    squares = within[several] ** 2 * scans_each[several] / (scans_each[several] - 1)
    # A square scatters with its own mean; unweighted, the largest volumes alone would decide.
    weight = 1 / (volumes[several] ** 2 + np.median(volumes) ** 2 + 1.0)
    design = np.column_stack([weight, weight * volumes[several] ** 2])
    scale = np.maximum(design.max(axis=0, initial=0.0), 1e-12)
    parts = nnls(design / scale, squares * weight)[0] / scale if several.any() else np.zeros(2)
    return VolumeErrorFigures(
        diagnosis=diagnosis,
        offset_mm3=offset,
        gain=gain,
        noise_mm3=float(np.sqrt(parts[0])),
        noise_share=float(np.sqrt(parts[1])) / gain,
    )


def _gain(scans: pd.DataFrame, measured: pd.Series[float], true: pd.Series[float]) -> float:
    """Of changes within participants, or of the means of ``measured`` and ``true``."""
    from scipy.stats import theilslopes

    names = ["lesion_volume_mm3", "lesion_volume_mm3_true"]
    ordered = scans.sort_values([*SCAN], kind="stable")
    steps = ordered.groupby("participant_id", sort=False)[names].diff().dropna()
    size = ordered["participant_id"].map(true).reindex(steps.index).to_numpy(dtype=np.float64)
    seen, happened = (steps[name].to_numpy(dtype=np.float64) for name in names)
    # Noise grows with the volume, so a change counts in units of it.
    unit = np.hypot(size, np.median(size)) if size.size else size
    kept = (happened != 0) & (unit > 0)
    seen, happened = seen[kept] / unit[kept], happened[kept] / unit[kept]
    if seen.size >= FEWEST_SCANS:
        slopes = seen / happened
        order = np.argsort(slopes)
        weight = np.abs(happened)[order].cumsum()
        gain = float(slopes[order][np.searchsorted(weight, weight[-1] / 2)])
        left = seen - gain * happened
        noise = _TO_STANDARD_DEVIATION * float(np.median(np.abs(left - np.median(left))))
        error = _OF_A_MEDIAN * noise / float(np.sqrt((happened**2).sum()))
        if error <= LARGEST_GAIN_ERROR * gain:
            return gain
    return float(theilslopes(measured, true)[0])


def change_noise(
    intervals: pd.DataFrame, participants: pd.DataFrame, figures: Figures
) -> pd.Series[float]:
    """Standard deviation of the noise of each participant's remission change, in mm3.

    Parameters
    ----------
    intervals : table of `interval_changes`.

    The change over consecutive intervals is last minus first: scans in between cancel, so the
    ends of each remission stretch count. Diagnoses without figures: missing.
    """
    ordered = intervals.sort_values(["participant_id", "start_days", "end_days"], kind="stable")
    remission = ordered["is_remission"].astype(bool)
    same = ordered["participant_id"].eq(ordered["participant_id"].shift())
    goes_on = remission & remission.shift(fill_value=False) & same
    kept = ordered.assign(stretch=(~goes_on).cumsum())[remission]
    ends = kept.groupby("stretch").agg(
        participant_id=("participant_id", "first"),
        start=("start_lesion_volume_mm3", "first"),
        end=("end_lesion_volume_mm3", "last"),
    )
    ends = ends.merge(participants[["participant_id", "diagnosis"]], on="participant_id")
    floor = ends["diagnosis"].map({k: f.noise_mm3 for k, f in figures.items()}).astype(float)
    share = ends["diagnosis"].map({k: f.noise_share for k, f in figures.items()}).astype(float)
    variance = 2 * floor**2 + share**2 * (ends["start"] ** 2 + ends["end"] ** 2)
    known = variance.groupby(ends["participant_id"], sort=True).sum(min_count=1)
    return known.pow(0.5)
