"""Which intervals are in remission, case by case and against a plain loop."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.cohort.remission import (
    ATTACK_INSIDE,
    DATE_UNKNOWN,
    INTERVAL_COLUMNS,
    NOT_RECORDED,
    SAME_DAY,
    session_intervals,
    washout_reason,
)


def _tables(sessions, attacks, *, recorded=True):
    """Days of sessions and of attacks by participant."""
    rows = [
        (who, f"ses-{number:02d}", float(day))
        for who, days in sessions.items()
        for number, day in enumerate(days, start=1)
    ]
    attack_rows = [(who, day) for who, days in attacks.items() for day in days]
    return CohortTables(
        participants=pd.DataFrame({"participant_id": list(sessions)}),
        sessions=pd.DataFrame(rows, columns=["participant_id", "session_id", "days_from_baseline"]),
        attacks=pd.DataFrame(attack_rows, columns=["participant_id", "days_from_baseline"]).astype(
            {"days_from_baseline": float}
        ),
        attacks_recorded=recorded,
    )


def _one(attacks, *, washout=90, days=(100, 465.25)):
    table = session_intervals(_tables({"sub-a": days}, {"sub-a": attacks}), washout_days=washout)
    return table.iloc[0]


@pytest.mark.parametrize(
    ("attacks", "reason"),
    [
        ([], ""),
        ([10], ""),
        ([10.5], washout_reason(90)),
        ([100], washout_reason(90)),
        ([100.5], ATTACK_INSIDE),
        ([300], ATTACK_INSIDE),
        ([465.25], ATTACK_INSIDE),
        ([465.5], ""),
        ([-1000], ""),
        ([-1000, 50], washout_reason(90)),
        ([50, 300], ATTACK_INSIDE),
        ([np.nan], DATE_UNKNOWN),
        ([-1000, np.nan], DATE_UNKNOWN),
    ],
)
def test_the_remission_rule(attacks, reason):
    row = _one(attacks)
    assert row["reason"] == reason
    assert row["is_remission"] == (reason == "")
    assert row["interval_years"] == 1


def test_the_washout_is_alive():
    assert _one([60], washout=40)["is_remission"]
    assert not _one([60], washout=41)["is_remission"]
    assert _one([100], washout=0)["is_remission"]


def test_unrecorded_attacks_are_said_and_never_taken_for_remission():
    tables = _tables({"sub-a": [0, 100]}, {}, recorded=False)
    table = session_intervals(tables, washout_days=90)
    assert table["reason"].tolist() == [NOT_RECORDED]
    assert table["is_remission"].tolist() == [False]


def test_an_undated_attack_takes_out_its_participant_alone():
    tables = _tables({"sub-a": [0, 100, 200], "sub-b": [0, 100]}, {"sub-a": [np.nan]})
    table = session_intervals(tables, washout_days=90)
    assert table["reason"].tolist() == [DATE_UNKNOWN, DATE_UNKNOWN, ""]


def test_a_rescan_on_the_same_day_is_no_interval_to_divide_by():
    table = session_intervals(_tables({"sub-a": [0, 0, 365]}, {}), washout_days=90)
    assert table["reason"].tolist() == [SAME_DAY, ""]


def test_intervals_join_consecutive_sessions_of_one_participant():
    sessions = {"sub-b": [0, 50, 400], "sub-a": [0], "sub-c": [10, 20]}
    table = session_intervals(_tables(sessions, {}), washout_days=0)
    assert list(table.columns) == list(INTERVAL_COLUMNS)
    assert table["participant_id"].tolist() == ["sub-b", "sub-b", "sub-c"]
    assert table["start_session_id"].tolist() == ["ses-01", "ses-02", "ses-01"]
    assert table["end_session_id"].tolist() == ["ses-02", "ses-03", "ses-02"]
    assert table["end_days"].tolist() == [50, 400, 20]


def test_a_cohort_of_single_sessions_has_no_interval():
    table = session_intervals(_tables({"sub-a": [0], "sub-b": [0]}, {"sub-a": [5]}), washout_days=9)
    assert table.empty
    assert list(table.columns) == list(INTERVAL_COLUMNS)
    assert table["is_remission"].dtype == bool


DAYS = st.lists(st.integers(-50, 60), max_size=5)


def _plainly(start, end, attacks, washout):
    if start == end or any(start < day <= end for day in attacks):
        return False
    return all(start - day >= washout for day in attacks if day <= start)


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from(["sub-a", "sub-b", "sub-c"]),
        st.tuples(DAYS, DAYS),
        min_size=1,
    ),
    st.integers(0, 40),
    st.randoms(use_true_random=False),
)
def test_the_vectorised_rule_is_the_plain_loop_in_any_order_of_rows(people, washout, random):
    tables = _tables(
        {who: sessions for who, (sessions, _) in people.items()},
        {who: attacks for who, (_, attacks) in people.items()},
    )
    order = random.sample(range(len(tables.sessions)), len(tables.sessions))
    shuffled = CohortTables(
        participants=tables.participants,
        sessions=tables.sessions.iloc[order],
        attacks=tables.attacks.iloc[::-1],
        attacks_recorded=True,
    )
    table = session_intervals(shuffled, washout_days=washout)
    expected = []
    for who in sorted(people):
        days = sorted(people[who][0])
        for start, end in itertools.pairwise(days):
            expected.append((who, start, end, _plainly(start, end, people[who][1], washout)))
    columns = ["participant_id", "start_days", "end_days", "is_remission"]
    assert list(table[columns].itertuples(index=False, name=None)) == expected


@pytest.mark.parametrize("washout", [-1, np.nan, np.inf])
def test_an_impossible_washout_is_refused(washout):
    with pytest.raises(ValueError, match="washout_days"):
        session_intervals(_tables({"sub-a": [0, 1]}, {}), washout_days=washout)
