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


@dataclass(frozen=True)
class NewLesions:
    """participant_id, new_lesions, years over remission intervals; note: where they are from."""

    counts: pd.DataFrame
    note: str


def read_new_lesions(path: Path) -> pd.DataFrame:
    """A table of tracked new lesions, `TRACKED_COLUMNS`; a row an interval.

    Raises
    ------
    MeasurementsError : no such table, a missing column, a count that is no whole number >= 0.
    """
    try:
        table = pd.read_csv(path, sep="\t")
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
    tracked : `TRACKED_COLUMNS` of the model version, or None.
    """
    remission = intervals[intervals["is_remission"].astype(bool)]
    ends = ["participant_id", "start_session_id", "end_session_id"]
    if tracked is not None and len(tracked):
        rows = remission.merge(tracked, on=ends, how="inner")
        return NewLesions(_summed(rows, rows["new_lesion_count"]), "")
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
    known = rise.notna()
    return NewLesions(_summed(rows[known], rise[known].astype(np.int64)), FROM_COUNTS)


def _summed(rows: pd.DataFrame, counts: pd.Series[int]) -> pd.DataFrame:
    summed = rows.assign(new_lesions=counts).groupby("participant_id", sort=True)
    found = summed.agg(new_lesions=("new_lesions", "sum"), years=("interval_years", "sum"))
    return found.reset_index()
