import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.longitudinal.study import STATISTICS_COLUMNS, study_statistics
from lesion_dynamics.settings.study import StudySettings

RATE = "annualised_change_mm3_per_year"


def people(ms: list[float], nmosd: list[float]) -> pd.DataFrame:
    """Participants with the given changes over one year."""
    change = np.array([*ms, *nmosd], dtype=float)
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{i:02d}" for i in range(change.size)],
            "diagnosis": ["MS"] * len(ms) + ["NMOSD"] * len(nmosd),
            "session_count": 2,
            "first_lesion_volume_mm3": 1000.0,
            "last_lesion_volume_mm3": 1000.0 + change,
            "follow_up_years": 1.0,
            "total_change_mm3": change,
            "remission_interval_count": np.isfinite(change).astype(int),
            "remission_years": np.where(np.isfinite(change), 1.0, np.nan),
            "remission_change_mm3": change,
            RATE: change,
            "annualised_total_change_mm3_per_year": change,
            "robust_slope_mm3_per_year": change,
        }
    )


def statistics(ms, nmosd, **changed) -> pd.DataFrame:
    settings = StudySettings(name="test", bootstrap_draws=200, **changed)
    return study_statistics(people(ms, nmosd), model_version="m/1", settings=settings)


def one(table: pd.DataFrame, diagnosis: str, quantity: str, statistic: str) -> pd.Series:
    keys = (table["diagnosis"], table["quantity"], table["statistic"], table["role"])
    wanted = (diagnosis, quantity, statistic, "primary")
    rows = table[np.logical_and.reduce([key == w for key, w in zip(keys, wanted, strict=True)])]
    assert len(rows) == 1
    return rows.iloc[0]


MS = [100.0, 150, 200, 250, 300, 120, 90]
NMOSD = [0.0, 0, 0, 10, -5, 20, 30]


def test_every_primary_estimate_occurs_once():
    table = statistics(MS, NMOSD)
    assert list(table.columns) == list(STATISTICS_COLUMNS)
    primary = table[table["role"] == "primary"]
    assert not primary.duplicated(["diagnosis", "quantity", "statistic"]).any()


def test_zero_method_chooses_the_primary_test_and_the_others_stand_beside_it():
    for chosen in ("pratt", "wilcox", "zsplit"):
        table = statistics(MS, NMOSD, zero_method=chosen)
        rows = table[
            (table["diagnosis"] == "NMOSD")
            & (table["quantity"] == RATE)
            & (table["statistic"] == "pseudomedian")
        ]
        assert set(rows["zero_method"]) == {"pratt", "wilcox", "zsplit"}
        assert rows["interval_method"].str.startswith("bootstrap").sum() == 1
        assert rows.loc[rows["role"] == "primary", "zero_method"].tolist() == [chosen]


def test_level_reaches_every_interval():
    wide, narrow = statistics(MS, NMOSD), statistics(MS, NMOSD, interval_level=0.8)
    assert set(narrow["interval_level"].dropna()) == {0.8}
    for key in (("MS", RATE, "pseudomedian"), ("MS vs NMOSD", RATE, "shift")):
        assert one(wide, *key)["interval_low"] < one(narrow, *key)["interval_low"]


def test_one_diagnosis_only_leaves_its_own_estimates_and_says_what_is_missing():
    table = statistics(MS, [])
    assert one(table, "MS", RATE, "pseudomedian")["p_value"] == pytest.approx(2 / 2**7)
    between = one(table, "MS vs NMOSD", RATE, "shift")
    assert np.isnan(between["estimate"])
    assert np.isnan(between["p_value"])
    assert "no participant" in between["note"]


def test_all_zero_changes_give_no_p():
    table = statistics(MS, [0.0] * 6)
    zero = one(table, "NMOSD", "remission_change_mm3", "pseudomedian")
    assert zero["estimate"] == 0.0
    assert np.isnan(zero["p_value"])
    assert "every change is zero" in zero["note"]
    assert np.isfinite(one(table, "MS vs NMOSD", RATE, "shift")["p_value"])


def test_participants_without_a_change_are_counted_and_noted():
    row = one(statistics([*MS, np.nan], NMOSD), "MS", RATE, "median")
    assert row["n"] == 7
    assert "1 of 8 participants without it" in row["note"]


def test_first_and_last_volume_are_medians_of_the_same_people():
    table = people(MS, NMOSD)
    table.loc[0, ["session_count", "first_lesion_volume_mm3"]] = [1, 9e9]
    settings = StudySettings(name="test", bootstrap_draws=200)
    found = study_statistics(table, model_version="m/1", settings=settings)
    for quantity in ("first_lesion_volume_mm3", "last_lesion_volume_mm3"):
        assert one(found, "MS", quantity, "median")["n"] == 6


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_participants_never_have_a_p(n):
    table = statistics(MS[:n], NMOSD[:n])
    assert table["p_value"].isna().all()
    assert table["interval_low"].isna().all()
    assert one(table, "MS", RATE, "median")["estimate"] == np.median(MS[:n])
