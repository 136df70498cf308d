"""Intervals between sessions, and which of them lie in remission. Formulas only."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from lesion_dynamics.cohort.cohort import CohortTables

DAYS_PER_YEAR = 365.25

INTERVAL_COLUMNS = (
    "participant_id", "start_session_id", "end_session_id", "start_days", "end_days",
    "interval_years", "is_remission", "reason",
)  # fmt: skip

NOT_RECORDED = "attacks not recorded"
DATE_UNKNOWN = "date of an attack unknown"
ATTACK_INSIDE = "attack in the interval"
SAME_DAY = "both sessions on the same day"


def washout_reason(washout_days: float) -> str:
    """Why an interval that starts too early after an attack is left out."""
    return f"start less than {washout_days:g} days after an attack"


def session_intervals(tables: CohortTables, *, washout_days: float) -> pd.DataFrame:
    """One row per pair of consecutive sessions of a participant.

    An interval (start, end] is in remission when

    - attacks are recorded, and every attack of the participant has a date,
    - no attack falls after the start, up to and including the day of the end, and
    - both ends lie at least ``washout_days`` after the last attack before them. With no attack
      inside, the last attack before the end is also the last before the start, so the start's
      distance decides. An attack on the very day of the start counts as before it.

    Nothing is assumed about attacks without a date: one of them takes all intervals of its
    participant out, as it may lie in any of them. Where attacks were not recorded at all, no
    interval is known to be in remission: every ``is_remission`` is False, with the reason
    `NOT_RECORDED`. A participant without a row in a recorded attack table had no attack.

    Parameters
    ----------
    tables : days in any order of rows. A session of unknown day is an end of no interval.
    washout_days : days, >= 0.

    Returns
    -------
    Columns `INTERVAL_COLUMNS`, ordered by participant and start. ``reason`` is "" in remission;
    otherwise the first that applies of `NOT_RECORDED`, `SAME_DAY`, `DATE_UNKNOWN`,
    `ATTACK_INSIDE`, :func:`washout_reason`.

    Raises
    ------
    ValueError : ``washout_days`` is negative or not finite.
    """
    if not (math.isfinite(washout_days) and washout_days >= 0):
        raise ValueError(f"washout_days must be 0 or more, not {washout_days}")
    intervals = _consecutive(tables.sessions)
    start = intervals["start_days"].to_numpy(dtype=np.float64)
    end = intervals["end_days"].to_numpy(dtype=np.float64)
    last_attack = _last_attack_until_end(intervals, tables.attacks)
    undated = tables.attacks.loc[tables.attacks["days_from_baseline"].isna(), "participant_id"]
    reasons = np.select(
        [
            np.full(len(intervals), not tables.attacks_recorded),
            end == start,
            intervals["participant_id"].isin(undated).to_numpy(dtype=bool),
            last_attack > start,
            start - last_attack < washout_days,
        ],
        [NOT_RECORDED, SAME_DAY, DATE_UNKNOWN, ATTACK_INSIDE, washout_reason(washout_days)],
        default="",
    )
    intervals["interval_years"] = (end - start) / DAYS_PER_YEAR
    intervals["is_remission"] = reasons == ""
    intervals["reason"] = pd.Series(reasons, dtype="str")
    return intervals[list(INTERVAL_COLUMNS)]


def _consecutive(sessions: pd.DataFrame) -> pd.DataFrame:
    dated = sessions.dropna(subset=["days_from_baseline"])
    ordered = dated.sort_values(["participant_id", "days_from_baseline", "session_id"])
    following = ordered.groupby("participant_id", sort=False)[["session_id", "days_from_baseline"]]
    after = following.shift(-1)
    intervals = pd.DataFrame(
        {
            "participant_id": ordered["participant_id"],
            "start_session_id": ordered["session_id"],
            "end_session_id": after["session_id"],
            "start_days": ordered["days_from_baseline"].astype(np.float64),
            "end_days": after["days_from_baseline"].astype(np.float64),
        }
    )
    return intervals[intervals["end_session_id"].notna()].reset_index(drop=True)


def _last_attack_until_end(intervals: pd.DataFrame, attacks: pd.DataFrame) -> np.ndarray:
    """Day of the last dated attack on or before the end of each interval; -inf where none."""
    dated = attacks.dropna(subset=["days_from_baseline"])
    dated = dated.astype({"days_from_baseline": np.float64}).sort_values("days_from_baseline")
    by_end = intervals[["participant_id", "end_days"]].reset_index().sort_values("end_days")
    if dated.empty or by_end.empty:
        return np.full(len(intervals), -np.inf)
    dated = dated[["participant_id", "days_from_baseline"]].astype({"participant_id": "str"})
    found = pd.merge_asof(
        by_end.astype({"participant_id": "str"}), dated,
        left_on="end_days", right_on="days_from_baseline", by="participant_id",
    )  # fmt: skip
    last = np.empty(len(intervals))
    last[found["index"].to_numpy()] = found["days_from_baseline"].fillna(-np.inf).to_numpy()
    return last
