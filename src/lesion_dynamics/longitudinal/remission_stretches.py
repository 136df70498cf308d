"""Scans that follow one another in remission: what a model over all scans may use."""

from __future__ import annotations

import pandas as pd

from lesion_dynamics.cohort.remission import DAYS_PER_YEAR

STRETCH_COLUMNS = (
    "participant_id",
    "stretch",
    "session_id",
    "years",
    "lesion_volume_mm3",
    "scanner",
)


def remission_stretches(
    intervals: pd.DataFrame, volumes: pd.DataFrame, sessions: pd.DataFrame
) -> pd.DataFrame:
    """Scans at the ends of consecutive remission intervals.

    An attack between two scans may add volume that is no slow growth, so scans on its two
    sides belong to two stretches.

    Parameters
    ----------
    intervals : table of `cohort.remission.session_intervals`.
    volumes : participant_id, session_id, lesion_volume_mm3 of one model version.
    sessions : participant_id, session_id, scanner (may be missing).

    Returns
    -------
    `STRETCH_COLUMNS`: a row a scan and stretch, ordered; ``stretch`` is a number, unique over
    the cohort; ``years`` counts from the stretch's first scan. Every stretch has at least two
    scans.
    """
    ordered = intervals.sort_values(["participant_id", "start_days", "end_days"], kind="stable")
    remission = ordered["is_remission"].astype(bool)
    same = ordered["participant_id"].eq(ordered["participant_id"].shift())
    goes_on = remission & remission.shift(fill_value=False) & same
    kept = ordered.assign(stretch=(~goes_on).cumsum())[remission]
    first = kept.drop_duplicates("stretch")
    starts = _ends(first, "start")
    scans = pd.concat([starts, _ends(kept, "end")], ignore_index=True)
    scans = scans.merge(
        volumes[["participant_id", "session_id", "lesion_volume_mm3"]],
        on=["participant_id", "session_id"],
    ).merge(
        sessions[["participant_id", "session_id", "scanner"]], on=["participant_id", "session_id"]
    )
    scans = scans.sort_values(["stretch", "days"], kind="stable", ignore_index=True)
    begin = scans.groupby("stretch")["days"].transform("min")
    scans["years"] = (scans["days"] - begin) / DAYS_PER_YEAR
    return scans[list(STRETCH_COLUMNS)]


def longest_stretch(scans: pd.DataFrame) -> pd.DataFrame:
    """Of each participant the stretch over most years; of equally long ones the first."""
    length = scans.groupby(["participant_id", "stretch"], sort=True)["years"].max().reset_index()
    length = length.sort_values(
        ["participant_id", "years", "stretch"], ascending=[True, False, True]
    )
    chosen = length.drop_duplicates("participant_id")["stretch"]
    return scans[scans["stretch"].isin(chosen)].reset_index(drop=True)


def _ends(intervals: pd.DataFrame, end: str) -> pd.DataFrame:
    names = {f"{end}_session_id": "session_id", f"{end}_days": "days"}
    return intervals[["participant_id", "stretch", *names]].rename(columns=names)
