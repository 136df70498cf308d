"""How many intervals and scans the remission rule leaves out, and why. For every result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lesion_dynamics.cohort.cohort import CohortTables

ACCOUNT_COLUMNS = ["unit", "reason", "count", "participant_count"]
IN_REMISSION = "in remission"
ONE_SCAN = "the participant has one scan only"
ONE_DATED_SCAN = "the participant's other scans have no day"
NO_DAY = "its day is unknown"
_NAMED = 10


@dataclass(frozen=True)
class RemissionAccount:
    """What became of the intervals and scans under the rule.

    washout_days : of the rule. attacks_recorded : whether the cohort has a record of attacks.
    undated : participants with an attack of unknown date, ordered.
    without_attack : participants without any row in the record of attacks; they count as free of
        attacks because there is a record, so they are counted here. 0 without a record.
    table : `ACCOUNT_COLUMNS`; unit is interval or scan. A scan counts as in remission when it is
        an end of an interval in remission; otherwise its reasons are those of the intervals that
        it is an end of. Ordered by unit, those in remission first, then the most frequent.
    """

    washout_days: float
    attacks_recorded: bool
    undated: tuple[str, ...]
    without_attack: int
    table: pd.DataFrame

    def count(self, unit: str, reason: str | None = None) -> int:
        """Intervals or scans, all of them or those with one reason."""
        own = self.table[self.table["unit"] == unit]
        if reason is not None:
            own = own[own["reason"] == reason]
        return int(own["count"].sum())

    @property
    def rule(self) -> str:
        """The rule in a sentence."""
        return (
            f"Remission: no attack in the interval, both ends at least {self.washout_days:g} days"
            " after the last one (washout_days)."
        )

    def lines(self) -> list[str]:
        """The account in sentences, without the rule."""
        found = [self._line(unit) for unit in ("interval", "scan")]
        if not self.attacks_recorded:
            found.append(
                "The cohort has no record of attacks, so no interval is known as remission."
            )
        if self.undated:
            names = [*self.undated[:_NAMED], *(["..."] if len(self.undated) > _NAMED else [])]
            found.append(
                f"Participants with an attack of unknown date, none of whose intervals counts:"
                f" {len(self.undated)} ({', '.join(names)})."
            )
        if self.without_attack:
            found.append(
                f"Participants without an attack in the record, taken as free of attacks:"
                f" {self.without_attack}."
            )
        return found

    def as_json(self) -> dict[str, object]:
        """The account for a provenance file."""
        rows = self.table.to_dict("records")
        return {
            "washout_days": self.washout_days,
            "attacks_recorded": self.attacks_recorded,
            "participants_with_undated_attack": list(self.undated),
            "participants_without_attack_in_record": self.without_attack,
            "counts": [{str(key): value for key, value in row.items()} for row in rows],
        }

    def _line(self, unit: str) -> str:
        own = self.table[(self.table["unit"] == unit) & (self.table["reason"] != IN_REMISSION)]
        left_out = "; ".join(
            f"{count} {reason}" for reason, count in zip(own["reason"], own["count"], strict=True)
        )
        kept = self.count(unit, IN_REMISSION)
        return f"{unit.capitalize()}s in remission: {kept} of {self.count(unit)}" + (
            f"; left out: {left_out}." if left_out else "."
        )


def remission_account(
    tables: CohortTables, intervals: pd.DataFrame, *, washout_days: float
) -> RemissionAccount:
    """Account for the intervals and for the scans of ``tables.sessions``.

    Parameters
    ----------
    tables : its sessions are the scans that the intervals were made of.
    intervals : table of `cohort.remission.session_intervals` with the same ``washout_days``.
    """
    attacks = tables.attacks
    undated = attacks.loc[attacks["days_from_baseline"].isna(), "participant_id"]
    scanned = set(tables.sessions["participant_id"])
    without = scanned - set(attacks["participant_id"]) if tables.attacks_recorded else set()
    reasons = intervals["reason"].where(intervals["reason"] != "", IN_REMISSION)
    of_intervals = pd.DataFrame(
        {"participant_id": intervals["participant_id"], "reason": reasons}
    ).assign(unit="interval")
    of_scans = _reasons_of_scans(tables.sessions, intervals.assign(reason=reasons))
    return RemissionAccount(
        washout_days=washout_days,
        attacks_recorded=tables.attacks_recorded,
        undated=tuple(sorted(set(undated) & scanned)),
        without_attack=len(without),
        table=_counted(pd.concat([of_intervals, of_scans.assign(unit="scan")])),
    )


def _reasons_of_scans(sessions: pd.DataFrame, intervals: pd.DataFrame) -> pd.DataFrame:
    """One row a scan: participant_id, reason."""
    ends = pd.concat(
        intervals[["participant_id", f"{end}_session_id", "reason"]].rename(
            columns={f"{end}_session_id": "session_id"}
        )
        for end in ("start", "end")
    )
    key = ["participant_id", "session_id"]
    ends = ends.drop_duplicates([*key, "reason"]).sort_values([*key, "reason"])
    remission = ends.loc[ends["reason"] == IN_REMISSION, key].assign(in_remission=True)
    joined = _joined(ends, key)
    found = sessions[[*key, "days_from_baseline"]].merge(joined, on=key, how="left")
    found = found.merge(remission, on=key, how="left")
    alone = pd.Series(ONE_SCAN, index=found.index, dtype="str")
    alone = alone.mask(found["participant_id"].duplicated(keep=False), ONE_DATED_SCAN)
    alone = alone.mask(found["days_from_baseline"].isna(), NO_DAY)
    reason = found["reason"].fillna(alone).where(found["in_remission"].isna(), IN_REMISSION)
    return found.assign(reason=reason)[["participant_id", "reason"]]


def _joined(ends: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """One row a scan, its reasons joined in their order; ``ends`` is sorted by scan."""
    first = ~ends.duplicated(key)
    joined = ends.loc[first, [*key, "reason"]].reset_index(drop=True)
    # A scan has one reason or two, one an end; only those with two need words joined.
    scan = first.cumsum().to_numpy(dtype=np.int64) - 1
    further = np.flatnonzero(~first.to_numpy(dtype=bool))
    reasons = joined["reason"].to_numpy(dtype=object, copy=True)
    for row, text in zip(scan[further], ends["reason"].iloc[further], strict=True):
        reasons[row] = f"{reasons[row]} and {text}"
    return joined.assign(reason=reasons)


def _counted(rows: pd.DataFrame) -> pd.DataFrame:
    grouped = rows.groupby(["unit", "reason"], sort=True)["participant_id"]
    table = grouped.agg(count="size", participant_count="nunique").reset_index()
    table["other"] = table["reason"] != IN_REMISSION
    table = table.sort_values(
        ["unit", "other", "count", "reason"], ascending=[True, True, False, True]
    )
    return table[ACCOUNT_COLUMNS].reset_index(drop=True)
