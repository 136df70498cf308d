"""How far two lesion masks of the same scan agree, when neither is the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ScanParity:
    """Two masks of one scan.

    dice : 2|A and B| / (|A| + |B|); both empty: None, for there is nothing to agree on.
    first_mm3, second_mm3 : lesion volumes.
    """

    participant_id: str
    session_id: str
    dice: float | None
    first_mm3: float
    second_mm3: float

    @property
    def difference_mm3(self) -> float:
        """Second minus first."""
        return self.second_mm3 - self.first_mm3

    @property
    def difference_percent(self) -> float | None:
        """Of the first's volume; None where that is 0."""
        return 100 * self.difference_mm3 / self.first_mm3 if self.first_mm3 else None


def scan_parity(
    first: NDArray[Any],
    second: NDArray[Any],
    *,
    voxel_volume_mm3: float,
    participant_id: str,
    session_id: str,
) -> ScanParity:
    """Compare masks (x, y, z), nonzero = lesion, as they are: no lesion is left out.

    Raises
    ------
    ValueError : the shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"shapes differ: {first.shape} and {second.shape}")
    one, other = first != 0, second != 0
    both, total = int((one & other).sum()), int(one.sum()) + int(other.sum())
    return ScanParity(
        participant_id,
        session_id,
        2 * both / total if total else None,
        int(one.sum()) * voxel_volume_mm3,
        int(other.sum()) * voxel_volume_mm3,
    )


def beyond_limits(
    scan: ScanParity, *, dice_limit: float, volume_limit_percent: float, volume_limit_mm3: float
) -> bool:
    """Whether the scan's masks differ more than allowed.

    Beyond: a Dice below its limit with volumes that differ by more than ``volume_limit_mm3`` or
    masks of at least that volume; or a volume difference beyond both of its limits. The absolute
    limit keeps a speck of a few voxels in a nearly lesion-free scan from counting.
    """
    large = max(scan.first_mm3, scan.second_mm3) > volume_limit_mm3
    low = scan.dice is not None and scan.dice < dice_limit and large
    gap = abs(scan.difference_mm3)
    off = gap > volume_limit_mm3 and gap > volume_limit_percent / 100 * scan.first_mm3
    return low or off


def parity_summary(scans: Sequence[ScanParity]) -> dict[str, float | int | None]:
    """Over all scans: Dice (median, mean, lowest, undefined), volumes and their difference.

    ``total_difference_percent`` is of the summed volumes: a few small scans do not rule it.
    """
    dice = [scan.dice for scan in scans if scan.dice is not None]
    gaps = [scan.difference_mm3 for scan in scans]
    first = sum(scan.first_mm3 for scan in scans)
    return {
        "scans": len(scans),
        "dice_median": float(np.median(dice)) if dice else None,
        "dice_mean": float(np.mean(dice)) if dice else None,
        "dice_lowest": min(dice, default=None),
        "dice_undefined": len(scans) - len(dice),
        "difference_median_mm3": float(np.median(gaps)) if gaps else None,
        "difference_mean_mm3": float(np.mean(gaps)) if gaps else None,
        "difference_largest_mm3": max(gaps, key=abs, default=None),
        "total_difference_percent": 100 * sum(gaps) / first if first else None,
    }
