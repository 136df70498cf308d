"""Agreement of two model versions, participant by participant: Bland-Altman, ICC, classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.estimate import MINIMUM_PARTICIPANTS, too_few
from lesion_dynamics.longitudinal.participant_bootstrap import drawn_counts
from lesion_dynamics.settings.study import StudySettings

Floats = NDArray[np.float64]
QUANTITIES = {
    "first_lesion_volume_mm3": "mm3",
    "remission_change_mm3": "mm3",
    "annualised_change_mm3_per_year": "mm3/year",
}
AGREEMENT_COLUMNS = (
    "reference", "model_version", "diagnosis", "quantity", "unit", "bias", "bias_low",
    "bias_high", "limit_low", "limit_high", "icc", "icc_low", "icc_high", "interval_level", "n",
    "note",
)  # fmt: skip
CLASS_COLUMNS = (
    "reference", "model_version", "participant_id", "diagnosis", "reference_class", "class",
    "reference_change_mm3", "change_mm3",
)  # fmt: skip
LIMITS = 0.95
"""Bland-Altman limits hold this share of differences; the field's habit, not a setting."""


def icc_absolute(pairs: Floats) -> float:
    """ICC(A,1): two-way, absolute agreement, one measurement.

    Parameters
    ----------
    pairs : (n, 2) one row a participant, one column a version.

    1: equal for everyone; a constant bias lowers it. NaN when nothing varies.

    Source: McGraw and Wong, Psychol Methods 1996;1:30-46, table 4, case 2A.
    """
    return float(_icc(pairs[None])[0])


def _icc(samples: Floats) -> Floats:
    """ICC(A,1) of each of (draws, n, 2)."""
    n, k = samples.shape[1], samples.shape[2]
    grand = samples.mean(axis=(1, 2))
    rows, columns = samples.mean(axis=2), samples.mean(axis=1)
    between = k * ((rows - grand[:, None]) ** 2).sum(axis=1) / (n - 1)
    raters = n * ((columns - grand[:, None]) ** 2).sum(axis=1) / (k - 1)
    residual = samples - rows[:, :, None] - columns[:, None, :] + grand[:, None, None]
    error = (residual**2).sum(axis=(1, 2)) / ((n - 1) * (k - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (between - error) / (between + (k - 1) * error + k * (raters - error) / n)
    return np.asarray(found)


def resampled_icc(pairs: Floats, counts: Floats) -> Floats:
    """(draws,) ICC(A,1) of the participants of (n, 2) that ``counts`` (draws, n) has drawn.

    Of two columns the mean squares are those of their sums and differences: between participants
    var(sum) / 2, error var(difference) / 2, versions n mean(difference)^2 / 2. NaN where one
    participant alone was drawn.
    """
    n = len(pairs)
    # About the cohort's mean, so that squares of large volumes do not swallow their differences.
    sums = pairs.sum(axis=1) - pairs.sum(axis=1).mean()
    gaps = pairs[:, 1] - pairs[:, 0]
    columns = np.column_stack([sums, sums**2, gaps, gaps**2])
    total, squares, gap, gap_squares = (counts @ columns).T
    between = (squares - total**2 / n) / (n - 1) / 2
    error = (gap_squares - gap**2 / n) / (n - 1) / 2
    versions = gap**2 / n / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (between - error) / (between + error + 2 * (versions - error) / n)
    return np.where(counts.max(axis=1) == n, np.nan, found)


def version_agreement(
    reference: pd.DataFrame, other: pd.DataFrame, *, names: tuple[str, str], settings: StudySettings
) -> pd.DataFrame:
    """`AGREEMENT_COLUMNS` of first volumes and of changes, by diagnosis.

    Bias: mean of other - reference with its t interval; limits: bias -+ 1.96 standard
    deviations. ICC with a percentile interval over participants.

    Source: Bland and Altman, Lancet 1986;1:307-310.
    """
    records = []
    for diagnosis in DIAGNOSES:
        for quantity, unit in QUANTITIES.items():
            both = _both(reference, other, diagnosis, quantity)
            found = _agreement(both, settings)
            key = (*names, diagnosis, quantity, unit)
            records.append({**dict(zip(AGREEMENT_COLUMNS, key, strict=False)), **found})
    return pd.DataFrame.from_records(records, columns=list(AGREEMENT_COLUMNS))


def _both(reference: pd.DataFrame, other: pd.DataFrame, diagnosis: str, quantity: str) -> Floats:
    own = reference.loc[reference["diagnosis"] == diagnosis, ["participant_id", quantity]]
    both = own.merge(other[["participant_id", quantity]], on="participant_id").dropna()
    return np.asarray(both.iloc[:, 1:].to_numpy(dtype=np.float64))


def _agreement(both: Floats, settings: StudySettings) -> dict[str, object]:
    from scipy.stats import norm, t

    n = len(both)
    if n < MINIMUM_PARTICIPANTS:
        return {"n": n, "note": too_few(n)}
    gaps = both[:, 1] - both[:, 0]
    bias, spread = float(gaps.mean()), float(gaps.std(ddof=1))
    level = settings.interval_level
    reach = float(t.ppf((1 + level) / 2, n - 1)) * spread / np.sqrt(n)
    limit = float(norm.ppf((1 + LIMITS) / 2)) * spread
    draws = settings.bootstrap_draws
    few = n * draws < 2_000_000
    resampled = resampled_icc(both, drawn_counts(n, draws, settings.seed)) if few else np.array([])
    kept = resampled[np.isfinite(resampled)]
    low, high = (
        np.quantile(kept, [(1 - level) / 2, (1 + level) / 2]) if kept.size > 1 else (np.nan,) * 2
    )
    return {
        "bias": bias, "bias_low": bias - reach, "bias_high": bias + reach,
        "limit_low": bias - limit, "limit_high": bias + limit, "icc": icc_absolute(both),
        "icc_low": float(low), "icc_high": float(high), "interval_level": level, "n": n,
        "note": "",
    }  # fmt: skip


def class_of(change: float, noise: float) -> str:
    """``growing``, ``shrinking``, or ``stable``: no change beyond the noise (mm3)."""
    if not np.isfinite(change):
        return "unknown"
    if abs(change) <= (noise if np.isfinite(noise) else 0.0):
        return "stable"
    return "growing" if change > 0 else "shrinking"


def class_changes(
    reference: pd.DataFrame, other: pd.DataFrame, *, names: tuple[str, str]
) -> pd.DataFrame:
    """Participants whose class differs between the versions; `CLASS_COLUMNS`.

    A change counts from the smallest detectable change on, where it is known (the column
    ``smallest_detectable_change_mm3``), otherwise from zero on.
    """
    columns = ["participant_id", "remission_change_mm3", "smallest_detectable_change_mm3"]
    both = reference[["diagnosis", *columns]].merge(other[columns], on="participant_id")
    change, noise = "remission_change_mm3", "smallest_detectable_change_mm3"
    for side in ("x", "y"):
        both[f"class_{side}"] = [
            class_of(c, n)
            for c, n in zip(both[f"{change}_{side}"], both[f"{noise}_{side}"], strict=True)
        ]
    moved = both[both["class_x"] != both["class_y"]]
    return pd.DataFrame(
        {
            "reference": names[0],
            "model_version": names[1],
            "participant_id": moved["participant_id"],
            "diagnosis": moved["diagnosis"],
            "reference_class": moved["class_x"],
            "class": moved["class_y"],
            "reference_change_mm3": moved[f"{change}_x"],
            "change_mm3": moved[f"{change}_y"],
        },
        columns=list(CLASS_COLUMNS),
    ).reset_index(drop=True)
