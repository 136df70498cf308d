import itertools

import numpy as np
import pytest
from scipy.stats import rankdata, wilcoxon

from lesion_dynamics.longitudinal.signed_rank import EXACT_UP_TO, signed_rank_p


def by_every_sign(changes: np.ndarray, *, keep_zeros: bool) -> float:
    """The definition: all sign patterns of the non-zero changes are equally likely."""
    ranked = changes if keep_zeros else changes[changes != 0]
    ranks = rankdata(np.abs(ranked))[ranked != 0]
    observed = ranks[ranked[ranked != 0] > 0].sum()
    sums = np.array([np.dot(s, ranks) for s in itertools.product([0, 1], repeat=ranks.size)])
    centre = ranks.sum() / 2
    return float(np.mean(np.abs(sums - centre) >= abs(observed - centre) - 1e-9))


def test_p_of_the_textbook_example_is_that_of_the_textbook_and_of_r():
    # Hollander and Wolfe, depression scores of nine patients; the example of R's ?wilcox.test:
    # V = 40, one-sided p-value = 0.01953.
    before = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
    after = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
    p, test = signed_rank_p(before - after, zero_method="wilcox")
    assert p == pytest.approx(2 * 0.01953125)
    assert test == "Wilcoxon signed rank, exact"


def test_without_ties_and_zeros_p_is_scipys_exact_p():
    changes = np.random.default_rng(0).normal(0.3, 1, 31)
    for zero_method in ("pratt", "wilcox"):
        p, _ = signed_rank_p(changes, zero_method=zero_method)
        assert p == pytest.approx(wilcoxon(changes, method="exact").pvalue, abs=1e-12)


@pytest.mark.parametrize("zero_method", ["pratt", "wilcox"])
@pytest.mark.parametrize(
    "changes",
    [
        [0, 0, 0, 1, 2, 3, -1, 5],
        [0, 1, 1, 1, -1, 2, 2, -3, 4],
        [3, 3, 3, 3],
        [0, 0, 0, 0, 0, 7, -2, 2, 2, 1, 1, 6],
    ],
)
def test_with_ties_and_zeros_p_counts_every_sign_pattern(changes, zero_method):
    values = np.array(changes, dtype=float)
    p, _ = signed_rank_p(values, zero_method=zero_method)
    assert p == pytest.approx(by_every_sign(values, keep_zeros=zero_method == "pratt"), abs=1e-12)


def test_zero_method_alone_changes_the_answer():
    # Many participants without change and few with one: the norm in NMOSD.
    changes = np.array([0.0] * 40 + [8, 7, 6, 5, 4, 3, -1.5, -1.5, -2])
    found = {m: signed_rank_p(changes, zero_method=m)[0] for m in ("pratt", "wilcox", "zsplit")}
    assert found["wilcox"] < found["pratt"] < found["zsplit"]


def test_zsplit_and_large_samples_say_that_they_are_approximate():
    few = np.array([0.0, 1, 2, 3, -1])
    p, test = signed_rank_p(few, zero_method="zsplit")
    assert "normal approximation" in test
    assert p == pytest.approx(
        wilcoxon(few, zero_method="zsplit", method="asymptotic").pvalue, abs=1e-12
    )
    many = np.random.default_rng(1).normal(0.1, 1, EXACT_UP_TO + 1)
    assert "normal approximation" in signed_rank_p(many, zero_method="pratt")[1]
    assert "exact" in signed_rank_p(many[:-1], zero_method="pratt")[1]


def test_the_approximation_takes_over_without_a_jump():
    changes = np.random.default_rng(2).normal(0.12, 1, EXACT_UP_TO)
    exact, _ = signed_rank_p(changes, zero_method="pratt")
    approximate = wilcoxon(changes, zero_method="pratt", method="asymptotic").pvalue
    assert exact == pytest.approx(approximate, abs=2e-3)


def test_all_zero_changes_have_no_p():
    p, _ = signed_rank_p(np.zeros(10), zero_method="pratt")
    assert np.isnan(p)
