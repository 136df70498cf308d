import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.cohort.remission import session_intervals
from lesion_dynamics.longitudinal.change import change_per_participant, interval_changes

YEAR = 365.25


def changes_of(
    scans: dict[str, list[tuple[float, float]]],
    *,
    attacks: dict[str, float] | None = None,
    left_out: dict[str, int] | None = None,
    unscanned: tuple[str, ...] = (),
) -> pd.DataFrame:
    """From participants' (days, volume) to their changes, indexed by participant."""
    rows = [
        (who, f"ses-{i:02d}", days, volume)
        for who, own in scans.items()
        for i, (days, volume) in enumerate(own, start=1)
    ]
    names = ["participant_id", "session_id", "days_from_baseline", "lesion_volume_mm3"]
    table = pd.DataFrame(rows, columns=names)
    known = attacks or {}
    tables = CohortTables(
        participants=pd.DataFrame({"participant_id": [*scans, *unscanned]}).assign(diagnosis="MS"),
        sessions=table.drop(columns="lesion_volume_mm3"),
        attacks=pd.DataFrame(
            {"participant_id": list(known), "days_from_baseline": list(known.values())}
        ),
        attacks_recorded=True,
    )
    intervals = session_intervals(tables, washout_days=90)
    found = change_per_participant(
        tables.participants,
        tables.sessions,
        table,
        interval_changes(intervals, table),
        sessions_left_out=pd.Series(left_out or {}, dtype="int64"),
    )
    return found.set_index("participant_id")


def test_one_remission_interval_gives_its_change_over_its_years():
    found = changes_of({"sub-01": [(0, 1000.0), (2 * YEAR, 1500.0)]}).loc["sub-01"]
    assert found["total_change_mm3"] == found["remission_change_mm3"] == 500
    assert found["follow_up_years"] == pytest.approx(2)
    assert found["annualised_change_mm3_per_year"] == pytest.approx(250)
    assert (found["first_session_id"], found["last_session_id"]) == ("ses-01", "ses-02")
    assert found["reason"] == ""


def test_intervals_with_an_attack_or_too_soon_after_it_do_not_enter():
    scans = {"sub-01": [(0, 100.0), (YEAR, 150.0), (2 * YEAR, 900.0), (4 * YEAR, 960.0)]}
    found = changes_of(scans, attacks={"sub-01": 1.5 * YEAR}).loc["sub-01"]
    # Left: the first year (+50) and the last two (+60).
    assert found["remission_interval_count"] == 2
    assert found["remission_change_mm3"] == 110
    assert found["remission_years"] == pytest.approx(3)
    assert found["annualised_change_mm3_per_year"] == pytest.approx(110 / 3)
    assert found["total_change_mm3"] == 860
    soon = changes_of(scans, attacks={"sub-01": 2 * YEAR - 89}).loc["sub-01"]
    assert soon["remission_interval_count"] == 1


def test_float_noise_is_no_change():
    found = changes_of({"sub-01": [(0, 0.1 + 0.2), (400, 0.3)]}).loc["sub-01"]
    assert found["remission_change_mm3"] == 0.0
    assert found["annualised_change_mm3_per_year"] == 0.0


def test_everyone_is_listed_and_whoever_has_no_change_has_a_reason():
    found = changes_of(
        {
            "sub-01": [(0, 1.0), (YEAR, 2.0)],
            "sub-02": [(0, 1.0)],
            "sub-03": [(0, 1.0), (YEAR, 2.0)],
        },
        attacks={"sub-03": 100},
        left_out={"sub-02": 1, "sub-04": 2},
        unscanned=("sub-04",),
    )
    assert found["reason"].to_dict() == {
        "sub-01": "",
        "sub-02": "a single session with a volume (1 left out)",
        "sub-03": "no remission interval",
        "sub-04": "no session with a volume (2 left out)",
    }
    rates = found["annualised_change_mm3_per_year"]
    assert np.isnan(rates[["sub-02", "sub-03", "sub-04"]].to_numpy(dtype=float)).all()
    assert np.isnan(found.loc["sub-02", "total_change_mm3"])
    assert found.loc["sub-03", "total_change_mm3"] == 1.0
    assert found["session_count"].tolist() == [2, 1, 2, 0]


def test_the_order_of_rows_does_not_matter():
    scans = {"sub-02": [(0, 5.0), (300, 6.0)], "sub-01": [(0, 1.0), (YEAR, 2.0)]}
    reverse = dict(reversed(scans.items()))
    pd.testing.assert_frame_equal(changes_of(scans), changes_of(reverse))
