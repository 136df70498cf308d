"""Which scans a person should look at first: doubt of the model, doubt between models, flags."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

PRIORITY_COLUMNS = ("disagreement", "uncertain_share", "quality_flags")
"""Columns that a priority is made of; more is more doubtful."""
_SMALL_VOLUME_MM3 = 100.0
"""So that a faint speck in a lesion-free scan is not a scan of nothing but doubt."""
_SMALLEST_PROBABILITY = 1e-6


def uncertain_volume_mm3(
    probability: NDArray[np.floating[Any]], *, threshold: float, voxel_volume_mm3: float
) -> float:
    """Volume whose label hangs in the balance: the entropy of every voxel's label, summed.

    The log-odds are counted from those of the threshold: a voxel at the threshold is one bit and
    counts whole, one far from it on either side counts nothing.

    probability : (x, y, z), 0 to 1. threshold : between 0 and 1.
    """
    near = probability[probability > 0].astype(np.float64)
    odds = _log_odds(near) - _log_odds(np.array(threshold))
    shifted = 1 / (1 + np.exp(-odds))
    entropy_bits = -(_times_log2(shifted) + _times_log2(1 - shifted))
    return float(entropy_bits.sum() * voxel_volume_mm3)


def uncertain_share(uncertain_mm3: float, lesion_volume_mm3: float) -> float:
    """Uncertain volume as a share of itself, the lesions and 100 mm3 together: 0 to 1."""
    return uncertain_mm3 / (uncertain_mm3 + lesion_volume_mm3 + _SMALL_VOLUME_MM3)


def disagreement(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """1 - Dice of two masks of one shape; 0 where both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 0.0 if total == 0 else 1.0 - 2.0 * int((first & second).sum()) / total


def ranked(scans: pd.DataFrame) -> pd.DataFrame:
    """The scans with their ``priority``, most doubtful first.

    The priority is the mean over `PRIORITY_COLUMNS` of the share of scans that are less doubtful
    (ties count half): no weighting of unlike units, and no scan wins by one extreme alone. A
    column that is missing everywhere (one model version: no disagreement) takes no part; a scan
    that lacks a value has the middle.
    """
    shares = []
    for column in PRIORITY_COLUMNS:
        values = scans[column]
        if values.notna().any():
            share = (values.rank(method="average") - 0.5) / values.notna().sum()
            shares.append(share.fillna(0.5))
    priority = sum(shares) / len(shares) if shares else pd.Series(0.5, index=scans.index)
    order = ["participant_id", "session_id"]
    return (
        scans.assign(priority=priority)
        .sort_values(["priority", *order], ascending=[False, True, True])
        .reset_index(drop=True)
    )


def _log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = np.clip(probability, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
    odds: NDArray[np.float64] = np.log(kept / (1 - kept))
    return odds


def _times_log2(p: NDArray[np.float64]) -> NDArray[np.float64]:
    product: NDArray[np.float64] = p * np.log2(np.maximum(p, np.finfo(np.float64).tiny))
    return product
