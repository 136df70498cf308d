"""The study with one choice changed at a time: does the answer depend on it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesion_dynamics.cohort.cohort import DIAGNOSES, CohortTables
from lesion_dynamics.cohort.remission import session_intervals
from lesion_dynamics.longitudinal.between import shift
from lesion_dynamics.longitudinal.estimate import Estimate
from lesion_dynamics.longitudinal.influence import most_influential
from lesion_dynamics.longitudinal.measurements import TRUTH
from lesion_dynamics.longitudinal.operating_points import ABSENT
from lesion_dynamics.longitudinal.paired import pseudomedian
from lesion_dynamics.longitudinal.robust_slope import ROBUST_SLOPE
from lesion_dynamics.longitudinal.same_scans import SCAN, SameScans
from lesion_dynamics.longitudinal.study import BETWEEN
from lesion_dynamics.longitudinal.version_study import VersionInputs, changes_of, common_volumes
from lesion_dynamics.settings.study import StudySettings

RATE = "annualised_change_mm3_per_year"
TOTAL_RATE = "annualised_total_change_mm3_per_year"
DECLARED = "as declared"
ROBUSTNESS_COLUMNS = (
    "model_version", "choice", "line", "diagnosis", "statistic", "estimate", "unit",
    "interval_low", "interval_high", "interval_level", "p_value", "test", "n", "note",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One line of the panel.

    choice : what was changed. line : to what. rates : participant_id, diagnosis, rate
    (mm3/year, may be missing). note : why a line is empty, or what it lost.
    """

    choice: str
    line: str
    rates: pd.DataFrame
    note: str = ""


class Intervals:
    """Intervals between sessions by washout: the same for every model version, so made once."""

    def __init__(self, tables: CohortTables) -> None:
        self._tables = tables
        self._found: dict[float, pd.DataFrame] = {}

    def at(self, washout_days: float) -> pd.DataFrame:
        """Table of `session_intervals`."""
        if washout_days not in self._found:
            self._found[washout_days] = session_intervals(self._tables, washout_days=washout_days)
        return self._found[washout_days]


def robustness(
    inputs: VersionInputs, settings: StudySettings, others: Mapping[str, pd.DataFrame],
    *, intervals: Intervals | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Three estimates of each line: the typical change of MS and NMOSD and their shift.

    Parameters
    ----------
    others : from a line's name to a checked table of volumes of the same model version.
    intervals : of the common scans, shared with other model versions.

    Returns
    -------
    `ROBUSTNESS_COLUMNS`; the first line is `DECLARED`.
    """
    records = []
    between = intervals or Intervals(replace(inputs.tables, sessions=inputs.common.sessions))
    for line in _lines(inputs, settings, others, between):
        for diagnosis, statistic, estimate in _estimates(line.rates, settings):
            found = asdict(estimate.noted(line.note))
            keys = {
                "model_version": inputs.model_version, "choice": line.choice, "line": line.line,
                "diagnosis": diagnosis, "statistic": statistic, "unit": "mm3/year",
            }  # fmt: skip
            records.append({**keys, **{k: v for k, v in found.items() if k in ROBUSTNESS_COLUMNS}})
    return pd.DataFrame.from_records(records, columns=list(ROBUSTNESS_COLUMNS))


def _lines(
    inputs: VersionInputs, settings: StudySettings, others: Mapping[str, pd.DataFrame],
    between: Intervals,
) -> Iterator[Line]:  # fmt: skip
    panel, volumes = settings.robustness, common_volumes(inputs)
    declared = between.at(settings.washout_days)
    people = _people(inputs, volumes, declared)
    base = _rates(people, RATE)
    yield Line(DECLARED, f"washout {settings.washout_days:g} days, two-point", base)
    for days in panel.washout_days:
        other = _people(inputs, volumes, between.at(days))
        yield Line("washout", f"{days:g} days", _rates(other, RATE))
    if panel.attack_intervals:
        yield Line("intervals", "attacks or not", _rates(people, TOTAL_RATE))
    if panel.same_scanner:
        yield _same_scanner(inputs, volumes, declared)
    if panel.two_point_against_slope:
        yield Line("change", "robust slope of all scans", _rates(people, ROBUST_SLOPE))
    if panel.brain_volume_normalised:
        yield _normalised(inputs, volumes, declared)
    if panel.extremes_left_out:
        share = panel.extremes_left_out
        rates = _without_extremes(base, share)
        yield Line("participants", f"without {share:.0%} at each end", rates)
    if panel.leave_one_out:
        for who, effect in most_influential(base):
            rates = base[base["participant_id"] != who]
            yield Line("participants", f"without {who}", rates, f"{effect} the shift most")
    yield from _other_lines(inputs, settings, others, base)


def _other_lines(
    inputs: VersionInputs, settings: StudySettings, others: Mapping[str, pd.DataFrame],
    base: pd.DataFrame,
) -> Iterator[Line]:  # fmt: skip
    for name, table in others.items():
        yield _other_measurements(inputs, name, table, settings)
    # Only names of operating points begin so; a line declared under such a name counts as one.
    measured_at = any(name.startswith(("threshold ", "minimum lesion volume ")) for name in others)
    wanted = settings.robustness.operating_points and inputs.model_version != TRUTH
    if wanted and not measured_at:
        yield Line("operating point", "other thresholds and volumes", base.iloc[:0], ABSENT)


def _intervals(inputs: VersionInputs, washout_days: float) -> pd.DataFrame:
    tables: CohortTables = replace(inputs.tables, sessions=inputs.common.sessions)
    return session_intervals(tables, washout_days=washout_days)


def _people(inputs: VersionInputs, volumes: pd.DataFrame, intervals: pd.DataFrame) -> pd.DataFrame:
    participants = inputs.tables.participants
    return changes_of(volumes, intervals, participants=participants, common=inputs.common)[0]


def _rates(people: pd.DataFrame, column: str) -> pd.DataFrame:
    kept = people[["participant_id", "diagnosis", column]]
    return kept.rename(columns={column: "rate"}).dropna(subset=["rate"])


def _same_scanner(inputs: VersionInputs, volumes: pd.DataFrame, intervals: pd.DataFrame) -> Line:
    scanner = inputs.common.sessions.set_index(SCAN)["scanner"]
    if scanner.isna().all():
        empty = _rates(_people(inputs, volumes, intervals), RATE).iloc[:0]
        return Line("scanner", "same in both scans", empty, "no scanner is recorded")
    ends = [
        scanner.reindex(
            pd.MultiIndex.from_frame(intervals[["participant_id", f"{end}_session_id"]])
        )
        for end in ("start", "end")
    ]
    same = ends[0].to_numpy() == ends[1].to_numpy()
    chosen = intervals.assign(is_remission=intervals["is_remission"].astype(bool) & same)
    return Line("scanner", "same in both scans", _rates(_people(inputs, volumes, chosen), RATE))


def _normalised(inputs: VersionInputs, volumes: pd.DataFrame, intervals: pd.DataFrame) -> Line:
    """Each participant's volumes times median brain of the cohort over the own median brain.

    One factor a participant: a factor a scan would turn brain atrophy into lesion growth.
    """
    scans = volumes.merge(inputs.measurements[[*SCAN, "brain_volume_mm3"]], on=SCAN)
    own = scans.groupby("participant_id")["brain_volume_mm3"].median()
    own = own.where(own > 0)
    factor = own.median() / own
    scaled = volumes["lesion_volume_mm3"] * volumes["participant_id"].map(factor)
    kept = volumes.assign(lesion_volume_mm3=scaled).dropna(subset=["lesion_volume_mm3"])
    lost = int(own.isna().sum())
    if kept.empty:
        rates = _rates(_people(inputs, volumes, intervals), RATE).iloc[:0]
        return Line("volume", "brain-normalised", rates, "no brain volume in the measurements")
    note = f"{lost} participants without a brain volume" if lost else ""
    return Line("volume", "brain-normalised", _rates(_people(inputs, kept, intervals), RATE), note)


def _without_extremes(rates: pd.DataFrame, share: float) -> pd.DataFrame:
    """Without the ``share`` (rounded up) of participants of each diagnosis at each end."""
    rank = rates.groupby("diagnosis")["rate"].rank(method="first")
    size = rates.groupby("diagnosis")["rate"].transform("size")
    cut = np.ceil(share * size)
    kept = np.asarray((rank > cut) & (rank <= size - cut), dtype=bool)
    return rates.loc[kept]


def _other_measurements(
    inputs: VersionInputs, name: str, table: pd.DataFrame, settings: StudySettings
) -> Line:
    rows = table[table["model_version"] == inputs.model_version]
    volumes = rows.loc[rows["status"] == "measured", [*SCAN, "lesion_volume_mm3"]]
    if volumes.empty:
        none = pd.DataFrame({"participant_id": [], "diagnosis": [], "rate": []})
        return Line("operating point", name, none, "no row of this model version in its table")
    scans = pd.MultiIndex.from_frame(volumes[SCAN])
    every = inputs.tables.sessions
    sessions = every[pd.MultiIndex.from_frame(every[SCAN]).isin(scans)].reset_index(drop=True)
    common = SameScans(
        volumes=volumes.assign(model_version=inputs.model_version),
        sessions=sessions,
        left_out=inputs.common.left_out,
    )
    own = replace(inputs, common=common)
    lost = len(inputs.common.sessions) - len(sessions)
    note = f"{lost} scans fewer" if lost > 0 else ""
    rates = _rates(_people(own, volumes, _intervals(own, settings.washout_days)), RATE)
    return Line("operating point", name, rates, note)


def _estimates(rates: pd.DataFrame, settings: StudySettings) -> Iterator[tuple[str, str, Estimate]]:
    groups: list[NDArray[np.float64]] = [
        rates.loc[rates["diagnosis"] == name, "rate"].to_numpy(dtype=np.float64)
        for name in DIAGNOSES
    ]
    level = settings.interval_level
    for name, values in zip(DIAGNOSES, groups, strict=True):
        yield (
            name,
            "pseudomedian",
            pseudomedian(values, zero_method=settings.zero_method, level=level),
        )
    yield BETWEEN, "shift", shift(groups[0], groups[1], level=level)
