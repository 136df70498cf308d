"""The account of remission: counted by hand, and every word of what is not known."""

import json

import pandas as pd
import pytest
from tests.cohort.cohort_files import tables_of

from lesion_dynamics.cohort.remission import ATTACK_INSIDE, DATE_UNKNOWN, session_intervals
from lesion_dynamics.cohort.remission_account import IN_REMISSION, ONE_SCAN, remission_account


def _account(sessions, attacks, *, washout_days=90, recorded=True):
    tables = tables_of(sessions, attacks, recorded=recorded)
    intervals = session_intervals(tables, washout_days=washout_days)
    return remission_account(tables, intervals, washout_days=washout_days)


SESSIONS = {
    "sub-a": (0, 400, 800, 1200),  # attack at 500: remission, inside, washout 300 passed
    "sub-b": (0, 365),  # undated attack
    "sub-c": (0,),  # one scan
    "sub-d": (0, 365),  # no attack in the record
}
ATTACKS = (("sub-a", 500), ("sub-b", None))


def test_intervals_and_scans_are_counted_by_reason():
    account = _account(SESSIONS, ATTACKS)
    counted = {
        (unit, reason): (count, people)
        for unit, reason, count, people in account.table.itertuples(index=False)
    }
    assert counted == {
        ("interval", IN_REMISSION): (3, 2),
        ("interval", ATTACK_INSIDE): (1, 1),
        ("interval", DATE_UNKNOWN): (1, 1),
        ("scan", IN_REMISSION): (6, 2),
        ("scan", DATE_UNKNOWN): (2, 1),
        ("scan", ONE_SCAN): (1, 1),
    }
    assert account.count("scan") == sum(map(len, SESSIONS.values()))
    assert account.undated == ("sub-b",)
    assert account.without_attack == 2
    text = "\n".join(account.lines())
    assert "at least 90 days" in account.rule
    assert "Intervals in remission: 3 of 5; left out: 1 attack in the interval; 1 date of" in text
    assert "attack of unknown date, none of whose intervals counts: 1 (sub-b)." in text
    assert "taken as free of attacks: 2." in text


def test_a_longer_washout_leaves_out_the_scans_of_two_reasons():
    account = _account(SESSIONS, ATTACKS, washout_days=301)
    both = f"{ATTACK_INSIDE}; start less than 301 days after an attack"
    assert account.count("scan", both) == 1  # day 800: one interval before it, one after
    assert account.count("interval", IN_REMISSION) == 2


def test_without_a_record_of_attacks_nothing_is_assumed():
    account = _account(SESSIONS, (), recorded=False)
    assert account.count("interval", IN_REMISSION) == 0
    assert account.without_attack == 0
    assert "The cohort has no record of attacks" in "\n".join(account.lines())
    assert "free of attacks" not in "\n".join(account.lines())


def test_an_empty_record_is_said():
    account = _account({"sub-a": (0, 365)}, ())
    assert account.count("interval", IN_REMISSION) == 1
    assert "taken as free of attacks: 1." in "\n".join(account.lines())


@pytest.mark.parametrize("sessions", [{}, {"sub-a": (0,)}])
def test_no_interval_at_all_is_counted_too(sessions):
    account = _account(sessions, ())
    assert account.count("interval") == 0
    assert account.count("scan") == len(sessions)
    assert isinstance(account.table, pd.DataFrame)


def test_the_account_goes_into_json():
    found = json.loads(json.dumps(_account(SESSIONS, ATTACKS).as_json()))
    assert found["washout_days"] == 90
    assert found["participants_with_undated_attack"] == ["sub-b"]
    assert {"unit": "interval", "reason": IN_REMISSION, "count": 3, "participant_count": 2} in (
        found["counts"]
    )
