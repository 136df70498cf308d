"""Permutation of the diagnosis: does the growth of lesion volume depend on it?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.longitudinal.estimate import MINIMUM_PARTICIPANTS, Estimate, too_few

Floats = NDArray[np.float64]
_CHUNK = 2_000


def permuted_difference(first: Floats, second: Floats, *, permutations: int, seed: int) -> Estimate:
    """Mean difference first - second, with a p from exchanging the diagnosis of participants.

    The statistic is Welch's t, so the test stays (asymptotically) right where the two
    diagnoses differ in spread, which they do; a plain mean difference would not.
    p = (1 + permutations at least as far from 0) / (1 + permutations).

    Edge cases: fewer than 3 in a diagnosis, or all values the same: no p.

    Source: Janssen, Stat Probab Lett 1997;36:9-21; Phipson and Smyth, Stat Appl Genet Mol Biol
    2010;9:39.
    """
    n1, n2 = first.size, second.size
    if min(n1, n2) == 0:
        return Estimate(n=n1 + n2, note=f"one diagnosis has {too_few(0)}")
    found = Estimate(estimate=float(first.mean() - second.mean()), n=n1 + n2)
    if min(n1, n2) < MINIMUM_PARTICIPANTS:
        return found.noted(f"one diagnosis has {too_few(min(n1, n2))}")
    values = np.concatenate([first, second])
    if np.ptp(values) == 0:
        return found.noted("all values are the same: no test")
    rng = np.random.default_rng(seed)
    observed = abs(float(_welch(values[None, :], n1)[0]))
    as_far = 0
    for begin in range(0, permutations, _CHUNK):
        size = min(_CHUNK, permutations - begin)
        shuffled = rng.permuted(np.tile(values, (size, 1)), axis=1)
        as_far += int((np.abs(_welch(shuffled, n1)) >= observed * (1 - 1e-12)).sum())
    return Estimate(
        estimate=found.estimate,
        n=found.n,
        p_value=(1 + as_far) / (1 + permutations),
        test=f"permutation of the diagnosis (Welch t, {permutations:,} draws)",
    )


def _welch(values: Floats, n1: int) -> Floats:
    one, other = values[:, :n1], values[:, n1:]
    variance = one.var(axis=1, ddof=1) / n1 + other.var(axis=1, ddof=1) / other.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((one.mean(axis=1) - other.mean(axis=1)) / np.sqrt(variance))
