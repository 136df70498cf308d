import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.longitudinal.multiplicity import holm, unmatched_members, with_families
from lesion_dynamics.settings.models import Family, FamilyMember


def test_holm_is_that_of_r():
    # p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") in R: 0.03 0.06 0.06 0.02
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_a_missing_p_was_not_tested_and_does_not_count():
    found = holm(np.array([0.02, np.nan, 0.9]))
    assert found[[0, 2]] == pytest.approx([0.04, 0.9])
    assert np.isnan(found[1])


def test_only_main_rows_of_the_family_are_corrected():
    table = pd.DataFrame(
        {"diagnosis": "MS", "quantity": ["a", "a", "b", "c"], "statistic": "s",
         "role": ["primary", "sensitivity", "secondary", "primary"],
         "p_value": [0.01, 0.01, 0.2, 0.03], "p_value_holm": np.nan, "family": ""}
    )  # fmt: skip
    members = tuple(
        FamilyMember(diagnosis="MS", quantity=q, statistic="s") for q in ("a", "b", "wrong")
    )
    family = Family(name="both", members=members)
    found = with_families(table, [family])
    assert found["family"].tolist() == ["both", "", "both", ""]
    assert found["p_value_holm"].tolist()[::2] == pytest.approx([0.02, 0.2])
    assert found["p_value_holm"].isna().tolist() == [False, True, False, True]
    assert unmatched_members(found, [family]) == ["both: MS / wrong / s"]
