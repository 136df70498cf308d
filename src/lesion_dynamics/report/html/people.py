"""Participants as the charts need them: whose mark it is, on which scanner, measured when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lesion_dynamics.report.html.panel import Who
from lesion_dynamics.report.html.results import Results, records

SEVERAL = "several scanners"
UNKNOWN = "scanner unknown"


@dataclass(frozen=True)
class People:
    """The participants of a model version.

    who : by participant_id. scans : participant_id, session_id, days_from_baseline,
    lesion_volume_mm3. attacks : participant_id, days_from_baseline. complete : False where the
    results are of an older analysis that kept neither scanners nor attacks.
    """

    who: dict[str, Who]
    scans: pd.DataFrame
    attacks: pd.DataFrame
    complete: bool

    @property
    def scanners(self) -> list[str]:
        """Names that the filter offers, ordered; a single one is no choice."""
        found = sorted({one.scanner for one in self.who.values()})
        return found if len(found) > 1 else []


def people_of(results: Results, version: str) -> People:
    """The participants of ``version`` and their scans."""
    changes = results.of("change_per_participant", version)
    scans = results.of("scans", version)
    complete = not results.tables["scans"].empty
    scanners: dict[str, str] = {}
    if complete:
        for participant, own in scans.groupby("participant_id", sort=False)["scanner"]:
            names = sorted({name for name in own if name})
            scanners[str(participant)] = SEVERAL if len(names) > 1 else "".join(names)
        scans = scans[scans["lesion_volume_mm3"].notna()]
    else:
        scans = _from_intervals(results.of("intervals", version))
    who = {
        str(row["participant_id"]): Who(
            str(row["participant_id"]),
            str(row["diagnosis"]),
            scanners.get(str(row["participant_id"])) or UNKNOWN,
        )
        for row in records(changes)
    }
    attacks = results.tables["attacks"]
    if attacks.empty:
        attacks = pd.DataFrame({"participant_id": [], "days_from_baseline": []})
    return People(who, scans, attacks, complete)


def _from_intervals(intervals: pd.DataFrame) -> pd.DataFrame:
    ends = [
        pd.DataFrame(
            {
                "participant_id": intervals["participant_id"],
                "session_id": intervals[f"{end}_session_id"],
                "days_from_baseline": intervals[f"{end}_days"],
                "lesion_volume_mm3": intervals[f"{end}_lesion_volume_mm3"],
            }
        )
        for end in ("start", "end")
    ]
    both = pd.concat(ends, ignore_index=True).drop_duplicates(["participant_id", "session_id"])
    known: pd.DataFrame = both[np.isfinite(both["lesion_volume_mm3"].to_numpy(dtype=float))]
    return known.sort_values(["participant_id", "days_from_baseline"], ignore_index=True)
