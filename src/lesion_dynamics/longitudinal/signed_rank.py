"""Wilcoxon's signed-rank test of paired changes, exact also with ties and zeros."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.longitudinal.rank_distributions import signed_rank_distribution, two_sided_p

ZeroMethod = Literal["pratt", "wilcox", "zsplit"]
ZERO_METHODS: tuple[ZeroMethod, ...] = ("pratt", "wilcox", "zsplit")
EXACT_UP_TO = 200
"""Non-zero changes. Above, the normal approximation agrees to three digits and is instant."""


def signed_rank_p(changes: NDArray[np.float64], *, zero_method: ZeroMethod) -> tuple[float, str]:
    """Two-sided p of "changes are symmetric about zero", and the name of the test.

    Parameters
    ----------
    changes : (n,) finite, rounded so that an unchanged participant is exactly 0.
    zero_method : ``pratt`` ranks zeros and leaves their ranks out; ``wilcox`` drops them before
        ranking; ``zsplit`` gives half of their ranks to each side, with the variance of
        scipy, by normal approximation. Exact, its p would be that of ``pratt``: conditional on
        the zeros, the shared ranks are constant.

    Returns
    -------
    (NaN, test) when every change is zero: nothing can be ranked.

    Source: Pratt, J Am Stat Assoc 1959;54:655-667; Wilcoxon 1945. Exact values are those of
    R's ``coin::wilcoxsign_test(distribution = "exact", zero.method = ...)``; the approximation
    is scipy's, without continuity correction.
    """
    nonzero = int(np.count_nonzero(changes))
    exact = zero_method != "zsplit" and nonzero <= EXACT_UP_TO
    test = f"Wilcoxon signed rank, {'exact' if exact else 'normal approximation'}"
    if nonzero == 0:
        return float("nan"), test
    if exact:
        return _exact_p(changes, keep_zeros=zero_method == "pratt"), test
    from scipy.stats import wilcoxon

    result = wilcoxon(changes, zero_method=zero_method, method="approx", correction=False)
    return float(result.pvalue), test


def _exact_p(changes: NDArray[np.float64], *, keep_zeros: bool) -> float:
    from scipy.stats import rankdata

    ranked = changes if keep_zeros else changes[changes != 0]
    doubled = np.rint(2 * rankdata(np.abs(ranked))).astype(np.int64)
    ranks = doubled[ranked != 0]
    observed = int(ranks[ranked[ranked != 0] > 0].sum())
    distribution = signed_rank_distribution(ranks)
    return two_sided_p(distribution, observed, doubled_mean=int(ranks.sum()))
