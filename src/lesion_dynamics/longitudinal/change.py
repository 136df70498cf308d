"""From volumes to one change per participant, over remission intervals only."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lesion_dynamics.longitudinal.measurements import VOLUME_DECIMALS

DAYS_PER_YEAR = 365.25
RATE_DECIMALS = 6
"""Finer than any volume resolves, coarse enough to take the float noise off equal rates."""


def interval_changes(intervals: pd.DataFrame, volumes: pd.DataFrame) -> pd.DataFrame:
    """Put the volumes of one model version to the intervals.

    Parameters
    ----------
    intervals : table of `cohort.remission.session_intervals`.
    volumes : participant_id, session_id, lesion_volume_mm3 of one model version.

    Returns
    -------
    ``intervals`` and start_lesion_volume_mm3, end_lesion_volume_mm3, change_mm3, rounded to
    0.001 mm3 so that an unchanged volume is a change of exactly 0.
    """
    found = intervals
    for end in ("start", "end"):
        names = {"session_id": f"{end}_session_id", "lesion_volume_mm3": f"{end}_lesion_volume_mm3"}
        renamed = volumes[["participant_id", *names]].rename(columns=names)
        found = found.merge(renamed, on=["participant_id", f"{end}_session_id"], how="left")
    change = found["end_lesion_volume_mm3"] - found["start_lesion_volume_mm3"]
    return found.assign(change_mm3=change.round(VOLUME_DECIMALS))


def change_per_participant(
    participants: pd.DataFrame,
    sessions: pd.DataFrame,
    volumes: pd.DataFrame,
    changes: pd.DataFrame,
    *,
    sessions_left_out: pd.Series[int],
) -> pd.DataFrame:
    """One row a participant of the cohort, whether or not a change can be computed.

    Parameters
    ----------
    participants : `CohortTables.participants`.
    sessions : the sessions that have a volume: participant_id, session_id, days_from_baseline.
    volumes : participant_id, session_id, lesion_volume_mm3 of one model version.
    changes : table of `interval_changes`.
    sessions_left_out : sessions without a volume, indexed by participant_id.

    Returns
    -------
    participant_id, diagnosis, session_count, sessions_left_out, first_session_id,
    last_session_id, first_lesion_volume_mm3, last_lesion_volume_mm3, follow_up_years,
    total_change_mm3 (last - first, whatever happened in between), remission_interval_count,
    remission_years, remission_change_mm3 (sum over remission intervals),
    annualised_change_mm3_per_year (their ratio), annualised_total_change_mm3_per_year (total
    change over follow-up), reason ("" or why there is no remission
    change). What does not exist is NaN.
    """
    table = participants[["participant_id", "diagnosis"]].merge(
        _first_and_last(sessions, volumes), on="participant_id", how="left"
    )
    table = table.merge(_over_remission(changes), on="participant_id", how="left")
    table["sessions_left_out"] = table["participant_id"].map(sessions_left_out)
    counts = ["session_count", "sessions_left_out", "remission_interval_count"]
    table[counts] = table[counts].fillna(0).astype("int64")
    table["reason"] = _why_no_change(table)
    return (
        table[
            [
                "participant_id",
                "diagnosis",
                "session_count",
                "sessions_left_out",
                "first_session_id",
                "last_session_id",
                "first_lesion_volume_mm3",
                "last_lesion_volume_mm3",
                "follow_up_years",
                "total_change_mm3",
                "remission_interval_count",
                "remission_years",
                "remission_change_mm3",
                "annualised_change_mm3_per_year",
                "annualised_total_change_mm3_per_year",
                "reason",
            ]
        ]
        .sort_values("participant_id", kind="stable")
        .reset_index(drop=True)
    )


def _first_and_last(sessions: pd.DataFrame, volumes: pd.DataFrame) -> pd.DataFrame:
    scans = sessions[["participant_id", "session_id", "days_from_baseline"]].merge(
        volumes[["participant_id", "session_id", "lesion_volume_mm3"]],
        on=["participant_id", "session_id"],
    )
    scans = scans.sort_values(["participant_id", "days_from_baseline", "session_id"])
    by_participant = scans.groupby("participant_id", sort=True)
    ends = by_participant.agg(
        session_count=("session_id", "size"),
        first_session_id=("session_id", "first"),
        last_session_id=("session_id", "last"),
        first_lesion_volume_mm3=("lesion_volume_mm3", "first"),
        last_lesion_volume_mm3=("lesion_volume_mm3", "last"),
        first_days=("days_from_baseline", "first"),
        last_days=("days_from_baseline", "last"),
    )
    several = ends["session_count"] > 1
    years = (ends["last_days"] - ends["first_days"]) / DAYS_PER_YEAR
    total = (ends["last_lesion_volume_mm3"] - ends["first_lesion_volume_mm3"]).round(
        VOLUME_DECIMALS
    )
    ends["follow_up_years"] = years.where(several)
    ends["total_change_mm3"] = total.where(several)
    rate = total / years.where(years > 0)
    ends["annualised_total_change_mm3_per_year"] = rate.round(RATE_DECIMALS)
    return ends.drop(columns=["first_days", "last_days"]).reset_index()


def _over_remission(changes: pd.DataFrame) -> pd.DataFrame:
    remission = changes[changes["is_remission"].astype(bool)]
    sums = remission.groupby("participant_id", sort=True).agg(
        remission_interval_count=("change_mm3", "size"),
        remission_years=("interval_years", "sum"),
        remission_change_mm3=("change_mm3", "sum"),
    )
    sums["remission_change_mm3"] = sums["remission_change_mm3"].round(VOLUME_DECIMALS)
    rate = sums["remission_change_mm3"] / sums["remission_years"]
    sums["annualised_change_mm3_per_year"] = rate.round(RATE_DECIMALS)
    return sums.reset_index()


def _why_no_change(table: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    without = table["remission_interval_count"] == 0
    left_out = np.where(
        table["sessions_left_out"] > 0,
        " (" + table["sessions_left_out"].astype(str) + " left out)",
        "",
    )
    reason = np.select(
        [~without, table["session_count"] == 0, table["session_count"] == 1],
        [
            np.full(len(table), "", dtype=object),
            "no session with a volume" + left_out.astype(object),
            "a single session with a volume" + left_out.astype(object),
        ],
        default="no remission interval",
    )
    return np.asarray(reason, dtype=object)
