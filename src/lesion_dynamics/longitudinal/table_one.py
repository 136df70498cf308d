"""Table 1: who was studied."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from lesion_dynamics.cohort.cohort import DIAGNOSES

TABLE_ONE_COLUMNS = ("characteristic", *DIAGNOSES, "all")


def table_one(
    participants: pd.DataFrame, changes: pd.DataFrame, attacks: pd.DataFrame, *, recorded: bool
) -> pd.DataFrame:
    """Demographics and follow-up by diagnosis, as text; `TABLE_ONE_COLUMNS`.

    Counts as n (share of those known), measures as median (lower - upper quartile), with the
    number of participants without the value where there are any. No p-values: the diagnoses
    were not randomised, and a test of baseline balance answers no question of the study
    (STROBE explanation and elaboration, item 14).

    Parameters
    ----------
    participants, attacks : tables of the cohort; ``recorded`` False: attacks are unknown.
    changes : `change_per_participant` of any model version; its sessions, years and baseline
        volume are used.
    """
    people = participants.merge(
        changes[
            ["participant_id", "session_count", "follow_up_years", "remission_years",
             "first_lesion_volume_mm3"]
        ],
        on="participant_id",
    )  # fmt: skip
    counted = attacks.groupby("participant_id").size()
    people["attacks"] = (
        people["participant_id"].map(counted).fillna(0).astype(float) if recorded else np.nan
    )
    groups = {name: people[people["diagnosis"] == name] for name in DIAGNOSES}
    groups["all"] = people
    records = []
    for label, cells in _rows(people):
        records.append({"characteristic": label, **{k: cells(g) for k, g in groups.items()}})
    return pd.DataFrame.from_records(records, columns=list(TABLE_ONE_COLUMNS))


def _rows(people: pd.DataFrame) -> Iterator[tuple[str, Callable[[pd.DataFrame], str]]]:
    yield "participants, n", lambda g: str(len(g))
    yield "age, years", lambda g: _measure(g["age_years"], decimals=0)
    yield "female, n (%)", lambda g: _share(g["sex"], "F")
    for scanner in sorted(people["scanner"].dropna().unique()):
        yield f"scanner {scanner}, n (%)", _scanned_on(str(scanner))
    yield "sessions, n", lambda g: _measure(g["session_count"].astype(float), decimals=0)
    yield "follow-up, years", lambda g: _measure(g["follow_up_years"], decimals=1)
    yield "in remission, years", lambda g: _measure(g["remission_years"], decimals=1)
    yield "attacks recorded, n", lambda g: _measure(g["attacks"], decimals=0)
    yield (
        "lesion volume at first scan, mm3",
        lambda g: _measure(g["first_lesion_volume_mm3"], decimals=0),
    )


def _scanned_on(scanner: str) -> Callable[[pd.DataFrame], str]:
    return lambda group: _share(group["scanner"], scanner)


def _measure(values: pd.Series[float], *, decimals: int) -> str:
    known = values.dropna().to_numpy(dtype=np.float64)
    if known.size == 0:
        return "n/a"
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    text = f"{middle:,.{decimals}f} ({low:,.{decimals}f} - {high:,.{decimals}f})"
    missing = values.size - known.size
    return f"{text}; {missing} n/a" if missing else text


def _share(values: pd.Series[str], wanted: str) -> str:
    known = values.dropna()
    if known.empty:
        return "n/a"
    count = int((known == wanted).sum())
    text = f"{count} ({count / len(known):.0%})"
    missing = len(values) - len(known)
    return f"{text}; {missing} n/a" if missing else text
