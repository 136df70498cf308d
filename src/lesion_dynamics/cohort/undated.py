"""Sessions whose day is unknown: they can be segmented and can train, but not be analysed.

Public datasets often publish sessions without dates, and a manifest writes ``n/a`` for their days.
Nothing is assumed in their place: not even order and spacing of sessions can be read off their
names. Inference and training need no day. Every statistic of the analysis is about intervals, so
the analysis leaves such sessions out, each with the reason below, as it does with scans that
failed; a cohort without any dated session is refused.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.errors import CohortError

REASON = "its day is unknown (days_from_baseline is n/a)"
_SCAN = ["participant_id", "session_id"]


def nothing_undated() -> pd.DataFrame:
    """No rows: participant_id, session_id, reason."""
    return pd.DataFrame({name: pd.Series([], dtype="str") for name in (*_SCAN, "reason")})


def without_undated(tables: CohortTables, *, where: Path) -> tuple[CohortTables, pd.DataFrame]:
    """The tables without undated sessions; and those sessions with the reason.

    Raises
    ------
    CohortError : no session has a day.
    """
    unknown = tables.sessions["days_from_baseline"].isna()
    if not unknown.any():
        return tables, nothing_undated()
    if unknown.all():
        raise CohortError(
            "no session of this cohort has a day: there is no interval to analyse",
            where=where,
            remedy="Write days_from_baseline where known; infer.py and train.py need none.",
        )
    undated = tables.sessions.loc[unknown, _SCAN].assign(reason=REASON).reset_index(drop=True)
    return replace(tables, sessions=tables.sessions[~unknown].reset_index(drop=True)), undated


def dated_rows(table: pd.DataFrame, undated: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``table`` (by participant_id and session_id) that are not of undated sessions."""
    if undated.empty:
        return table
    gone = pd.MultiIndex.from_frame(table[_SCAN]).isin(pd.MultiIndex.from_frame(undated[_SCAN]))
    return table[~gone].reset_index(drop=True)
