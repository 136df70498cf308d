"""What a cohort could have seen: smallest detectable difference, participants needed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def participants_needed(
    first: Floats, second: Floats, *, difference: float, alpha: float, power: float
) -> float:
    """Participants of both diagnoses together for a Mann-Whitney test to see ``difference``.

    The shapes of the two distributions are those observed, moved so that their typical
    difference (Hodges-Lehmann) is ``difference``; the share of participants stays as it is.

    Returns
    -------
    Infinity when the difference does not move one distribution above the other.

    Source: Noether, J Am Stat Assoc 1987;82:645-647.
    """
    from scipy.stats import norm

    pairs = first[:, None] - second[None, :]
    moved = pairs - np.median(pairs) + difference
    superiority = float((moved > 0).mean() + (moved == 0).mean() / 2)
    if abs(superiority - 0.5) < 1e-12:
        return math.inf
    share = first.size / (first.size + second.size)
    z = float(norm.ppf(1 - alpha / 2) + norm.ppf(power))
    return z**2 / (12 * share * (1 - share) * (superiority - 0.5) ** 2)


def smallest_detectable(first: Floats, second: Floats, *, alpha: float, power: float) -> float:
    """Smallest difference (mm3/year) that these participants detect with ``power``.

    Infinity when even complete separation would not be detected.
    """
    n = first.size + second.size

    def enough(difference: float) -> bool:
        needed = participants_needed(first, second, difference=difference, alpha=alpha, power=power)
        return needed <= n

    high = float(np.ptp(np.concatenate([first, second]))) * 2 + 1.0
    if not enough(high):
        return math.inf
    low = 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
