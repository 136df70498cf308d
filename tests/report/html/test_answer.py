import math

import pandas as pd
import pytest

from lesion_dynamics.report.html.answer import answer, evidence, p_words

NAN = math.nan


def statistics(ms, nmosd, between, *, holm=(NAN, NAN, NAN), note=""):
    """Rows of the three questions: (estimate, low, high, p) each, and medians a year of 10."""
    columns = ["diagnosis", "quantity", "statistic", "unit", "estimate", "interval_low"]
    columns += ["interval_high", "p_value"]
    rows = [
        ("MS", "remission_change_mm3", "pseudomedian", "mm3", *ms),
        ("NMOSD", "remission_change_mm3", "pseudomedian", "mm3", *nmosd),
        ("MS vs NMOSD", "annualised_change_mm3_per_year", "shift", "mm3/year", *between),
    ]
    rows += [
        (name, "annualised_change_mm3_per_year", "median", "mm3/year", 10.0, 5.0, 15.0, NAN)
        for name in ("MS", "NMOSD")
    ]
    table = pd.DataFrame(rows, columns=columns)
    table["p_value_holm"] = [*holm, NAN, NAN]
    return table.assign(role="primary", interval_level=0.95, family="asked", note=note)


SHOWN = (391.5, 229.5, 732.4, 0.0000007)
NOT_SHOWN = (55.7, -3.2, 195.8, 0.07)
MISSING = (NAN, NAN, NAN, NAN)


def test_shown_in_ms_not_in_nmosd_and_a_difference():
    found = answer(statistics(SHOWN, NOT_SHOWN, (102.46, 42.4, 174.3, 0.003)), level=0.95)
    assert found.within == (
        "In remission, the lesion volume of people with MS rose by typically 392 mm³ (95%"
        " interval 230 to 732), a median of 10 mm³ a year (95% interval 5 to 15): very strong"
        " evidence of a change (p < 0.001); that of people with NMOSD showed no clear change,"
        " typically +56 mm³ (95% interval −3 to 196), a median of 10 mm³ a year (95% interval 5"
        " to 15) (p = 0.070)."
    )
    assert found.between == (
        "The annualised change in MS lies 102 mm³ a year (95% interval 42 to 174) above that in"
        " NMOSD: strong evidence of a difference (p = 0.003)."
    )
    assert found.remarks == ()


def test_a_loss_is_said_as_a_fall_with_its_interval_turned_round():
    lost = answer(statistics((-300, -450, -100, 0.002), SHOWN, (-90, -120, -60, 0.02)), level=0.95)
    assert "MS fell by typically 300 mm³ (95% interval 100 to 450)" in lost.within
    assert "lies 90 mm³ a year (95% interval 60 to 120) below that in NMOSD" in lost.between


def test_no_difference_is_no_proof_of_none():
    found = answer(statistics(SHOWN, SHOWN, (20, -15, 60, 0.31)), level=0.95)
    assert found.between.startswith("A difference in annualised change")
    assert "is not shown: MS less NMOSD is +20 mm³ a year (95% interval −15 to 60)" in found.between
    assert "(p = 0.310)" in found.between
    assert found.between.endswith("so the data fit every difference in that interval.")


def test_what_cannot_be_estimated_is_said_with_its_reason():
    found = answer(statistics(MISSING, SHOWN, MISSING, note="2 participants, too few"), level=0.95)
    assert "with MS has no change that can be estimated (2 participants, too few);" in found.within
    assert found.between == (
        "Whether the annualised change differs between MS and NMOSD cannot be estimated (2"
        " participants, too few)."
    )


def test_an_estimate_without_a_test_is_no_evidence():
    found = answer(statistics((40, NAN, NAN, NAN), SHOWN, (5, NAN, NAN, NAN)), level=0.95)
    assert "MS changed by typically +40 mm³ (no interval)" in found.within
    assert "it was not tested" in found.within
    assert found.between.endswith("is +5 mm³ a year (no interval); it was not tested.")


def test_no_row_at_all():
    empty = statistics(SHOWN, SHOWN, SHOWN).iloc[:0]
    found = answer(empty, level=0.95)
    assert found.within.count("has no change that can be estimated") == 2
    assert "cannot be estimated" in found.between


def test_every_answer_is_two_sentences():
    for three in [
        (SHOWN, NOT_SHOWN, SHOWN),
        (MISSING, MISSING, MISSING),
        (SHOWN, SHOWN, NOT_SHOWN),
    ]:
        found = answer(statistics(*three), level=0.95)
        for sentence in (found.within, found.between):
            assert sentence.endswith(".")
            assert ". " not in sentence


def test_what_the_declared_correction_takes_back_is_said():
    border = (80, 1, 160, 0.03)
    found = answer(statistics(SHOWN, border, SHOWN, holm=(0.0001, 0.06, 0.001)), level=0.95)
    assert len(found.remarks) == 1
    assert "in NMOSD is no longer enough (p = 0.060)" in found.remarks[0]


@pytest.mark.parametrize(
    ("p_value", "level", "shown"),
    [(0.0499, 0.95, True), (0.0499, 0.99, False), (0.06, 0.9, True), (0.0501, 0.95, False)],
)
def test_the_border_is_the_interval_level(p_value, level, shown):
    found = answer(statistics((80, 1, 160, p_value), SHOWN, SHOWN), level=level)
    assert ("MS rose" in found.within) is shown


def test_a_p_value_that_rounds_onto_the_border_keeps_its_digits():
    assert p_words(0.04994582, 0.05) == "p = 0.0499"
    assert p_words(0.0501, 0.05) == "p = 0.0501"
    assert p_words(0.05, 0.05) == "p = 0.050"
    assert p_words(0.0004, 0.05) == "p < 0.001"
    assert evidence(0.0499, 0.05, of="a change").startswith("borderline evidence of a change")
    assert evidence(0.02, 0.05, of="a change").startswith("some evidence")
