"""New lesions of each participant over remission, from a tracked table or from lesion counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lesion_dynamics.errors import MeasurementsError

TRACKED_FILE = "lesion_intervals.tsv"
"""What ``lesion-dynamics track`` writes beside the measurements of a model version."""

TRACKED_COLUMNS = (
    "participant_id",
    "start_session_id",
    "end_session_id",
    "model_version",
    "new_lesion_count",
)
FROM_COUNTS = (
    "from rises of lesion_count: lesions that merge or vanish hide new ones, so this is a lower"
    " bound of the rate"
)
NO_COUNTS = "cannot be computed: no table of new lesions, and no lesion_count in the measurements"


_NAMED_AT_MOST = 10
"""Participants, and intervals, that a note names; it counts the others."""
_ENDS = ["participant_id", "start_session_id", "end_session_id"]


@dataclass(frozen=True)
class NewLesions:
    """New lesions of each participant.

    counts : participant_id, new_lesions, years over the remission intervals that have a count.
    note : where they are from. left_out : which remission intervals have no count, in words.
    """

    counts: pd.DataFrame
    note: str
    left_out: str = ""


def read_new_lesions(path: Path) -> pd.DataFrame:
    """A table of tracked new lesions, `TRACKED_COLUMNS`; a row an interval.

    Raises
    ------
    MeasurementsError : no such table, a missing column or id, a count that is no whole number >= 0,
        an interval that is listed twice.
    """
    try:
        # Ids as they are written: a session 01 is not session 1.
        table = pd.read_csv(path, sep="\t", dtype=dict.fromkeys(TRACKED_COLUMNS[:4], str))
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise MeasurementsError(
            f"this table of new lesions cannot be read ({error})", where=path,
            remedy=f"It is tab-separated with {', '.join(TRACKED_COLUMNS)}.",
        ) from None  # fmt: skip
    missing = [name for name in TRACKED_COLUMNS if name not in table]
    if missing:
        raise MeasurementsError(
            f"missing column {missing[0]}", where=path,
            remedy=f"A table of new lesions has {', '.join(TRACKED_COLUMNS)}.",
        )  # fmt: skip
    if table[list(TRACKED_COLUMNS[:4])].isna().any(axis=None):
        raise MeasurementsError(
            "a row lacks its participant, one of its sessions or its model version", where=path,
            remedy="Fill it in, or leave the row out.",
        )  # fmt: skip
    counts = pd.to_numeric(table["new_lesion_count"], errors="coerce")
    if not ((counts >= 0) & (counts % 1 == 0)).all():
        raise MeasurementsError(
            "new_lesion_count is not a whole number of 0 or more", where=path,
            remedy="Leave intervals without a count out of the table.",
        )  # fmt: skip
    key = ["model_version", *TRACKED_COLUMNS[:3]]
    if table.duplicated(key).any():
        raise MeasurementsError(
            "an interval is listed twice", where=path,
            remedy="Keep one row an interval and model version.",
        )  # fmt: skip
    return table[list(TRACKED_COLUMNS)].assign(new_lesion_count=counts.astype(np.int64))


def new_lesions(
    intervals: pd.DataFrame, measurements: pd.DataFrame, tracked: pd.DataFrame | None
) -> NewLesions:
    """Counts over the remission intervals of one model version.

    Parameters
    ----------
    intervals : table of `cohort.remission.session_intervals`.
    measurements : participant_id, session_id, lesion_count of the model version.
    tracked : `TRACKED_COLUMNS` of the model version, or None. An interval without a row of its
        own has the sum over rows that follow each other from its start to its end: it spans
        sessions that this version measured and another one did not.
    """
    remission = intervals[intervals["is_remission"].astype(bool)]
    if tracked is not None and len(tracked):
        counts = _tracked_over(remission, tracked, sessions=intervals)
        return _summed(
            remission, counts, note="", lacking="a count in the table of tracked lesions"
        )
    if "lesion_count" not in measurements or measurements["lesion_count"].isna().all():
        return NewLesions(
            pd.DataFrame(columns=["participant_id", "new_lesions", "years"]), NO_COUNTS
        )
    rows = remission
    for end in ("start", "end"):
        names = {"session_id": f"{end}_session_id", "lesion_count": f"{end}_count"}
        own = measurements[["participant_id", *names]].rename(columns=names)
        rows = rows.merge(own, on=["participant_id", f"{end}_session_id"], how="left")
    rise = (rows["end_count"].astype("Float64") - rows["start_count"].astype("Float64")).clip(
        lower=0
    )
    return _summed(
        rows, rise.astype("Int64"), note=FROM_COUNTS, lacking="a lesion_count at both ends"
    )


def _tracked_over(
    remission: pd.DataFrame, tracked: pd.DataFrame, *, sessions: pd.DataFrame
) -> pd.Series[int]:
    """Tracked new lesions over each row of ``remission``; NA where no rows tile it.

    Parameters
    ----------
    sessions : intervals between all sessions that are analysed. None of these sessions lies inside
        an interval, so no tiling passes through one.
    """
    following: dict[tuple[str, str], dict[str, int]] = {}
    rows = zip(*(tracked[name] for name in (*_ENDS, "new_lesion_count")), strict=True)
    for who, start, end, new in rows:
        following.setdefault((who, start), {}).setdefault(end, int(new))
    bounds = {
        (who, session)
        for end in ("start", "end")
        for who, session in zip(
            sessions["participant_id"], sessions[f"{end}_session_id"], strict=True
        )
    }
    counts = [
        _tiled(following, bounds, who, start, end)
        for who, start, end in remission[_ENDS].itertuples(index=False)
    ]
    return pd.Series(counts, index=remission.index, dtype="Int64")


def _tiled(
    following: dict[tuple[str, str], dict[str, int]],
    bounds: set[tuple[str, str]],
    who: str,
    start: str,
    end: str,
) -> int | None:
    """The sum over the fewest tracked intervals that lead from ``start`` to ``end``, or None."""
    reached, frontier = {start}, {start: 0}
    while frontier:
        ahead: dict[str, int] = {}
        for session, count in frontier.items():
            for after, new in sorted(following.get((who, session), {}).items()):
                if after not in reached and (after == end or (who, after) not in bounds):
                    ahead.setdefault(after, count + new)
        if end in ahead:
            return ahead[end]
        reached |= set(ahead)
        frontier = ahead
    return None


def _summed(
    intervals: pd.DataFrame, counts: pd.Series[int], *, note: str, lacking: str
) -> NewLesions:
    """The sums over a participant's intervals; intervals without a count are left out by name."""
    known = counts.notna()
    rows = intervals[known].assign(new_lesions=counts[known].astype(np.int64))
    found = rows.groupby("participant_id", sort=True).agg(
        new_lesions=("new_lesions", "sum"), years=("interval_years", "sum")
    )
    return NewLesions(
        found.reset_index(), note, _said_of(intervals[~known], set(found.index), lacking=lacking)
    )


def _said_of(unknown: pd.DataFrame, counted: set[str], *, lacking: str) -> str:
    """Participants who are lost altogether, and intervals of the others."""
    lost = sorted(set(unknown["participant_id"]) - counted)
    partly = unknown[unknown["participant_id"].isin(counted)]
    parts = [f"{who} {start} to {end}" for who, start, end in partly[_ENDS].itertuples(index=False)]
    said = []
    if lost:
        who = "participant" if len(lost) == 1 else "participants"
        said.append(f"{len(lost)} {who} in remission without {lacking} left out: {_named(lost)}")
    if parts:
        what = "remission interval" if len(parts) == 1 else "remission intervals"
        of = "of others " if lost else ""
        said.append(f"{len(parts)} {what} {of}without {lacking} left out: {_named(parts)}")
    return "; ".join(said)


def _named(names: list[str]) -> str:
    more = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
