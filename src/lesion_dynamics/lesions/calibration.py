"""Whether a lesion probability means what it says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PROBABILITY_BIN_EDGES = (0.0, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Tenths, the first of them split at 1%: nearly all voxels of a brain lie below that."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Voxels by their probability: how sure the network was, how often it was right.

    voxel_count, probability_sum, lesion_count : by bin of `PROBABILITY_BIN_EDGES` (a bin holds
        its lower edge; the last one holds 1 as well).
    """

    voxel_count: NDArray[np.int64]
    probability_sum: NDArray[np.float64]
    lesion_count: NDArray[np.int64]

    def expected_calibration_error(self, *, lowest: float = 0.0) -> float | None:
        """Sum over bins of n_b / N |mean probability_b - lesion frequency_b|, 0 to 1, lower is
        better (Naeini et al., AAAI 2015; here of the lesion probability itself).

        lowest : bins below this probability are left out: over a whole brain the sure background
            would hide everything else. No voxel in the bins: None (undefined).
        """
        used = np.asarray(PROBABILITY_BIN_EDGES[:-1]) >= lowest
        voxels = self.voxel_count[used]
        if not voxels.any():
            return None
        gaps = np.abs(self.probability_sum[used] - self.lesion_count[used])
        return float(gaps.sum() / voxels.sum())

    def table(self) -> list[dict[str, float | int | None]]:
        """A row a bin: edges, voxels, mean probability, lesion frequency (None: no voxel)."""
        rows: list[dict[str, float | int | None]] = []
        for index, count in enumerate(self.voxel_count.tolist()):
            rows.append(
                {
                    "from_probability": PROBABILITY_BIN_EDGES[index],
                    "to_probability": PROBABILITY_BIN_EDGES[index + 1],
                    "voxel_count": count,
                    "mean_probability": float(self.probability_sum[index]) / count
                    if count
                    else None,
                    "lesion_frequency": int(self.lesion_count[index]) / count if count else None,
                }
            )
        return rows


def reliability(
    probability: NDArray[Any], reference: NDArray[Any], *, within: NDArray[Any]
) -> Reliability:
    """Count one scan.

    probability : (x, y, z), 0 to 1. reference : nonzero = lesion. within : nonzero = counted (the
    brain: outside of it nothing is asked).
    """
    inside = within != 0
    values, lesion = probability[inside].astype(np.float64), reference[inside] != 0
    inner = np.asarray(PROBABILITY_BIN_EDGES[1:-1], dtype=probability.dtype)
    place = np.digitize(probability[inside], inner)
    bins = len(PROBABILITY_BIN_EDGES) - 1
    return Reliability(
        voxel_count=np.bincount(place, minlength=bins),
        probability_sum=np.bincount(place, weights=values, minlength=bins).astype(np.float64),
        lesion_count=np.bincount(place[lesion], minlength=bins),
    )


def pooled(scans: Iterable[Reliability]) -> Reliability:
    """All voxels of some scans together."""
    bins = len(PROBABILITY_BIN_EDGES) - 1
    total = Reliability(
        np.zeros(bins, dtype=np.int64), np.zeros(bins), np.zeros(bins, dtype=np.int64)
    )
    for one in scans:
        total.voxel_count[:] += one.voxel_count
        total.probability_sum[:] += one.probability_sum
        total.lesion_count[:] += one.lesion_count
    return total
