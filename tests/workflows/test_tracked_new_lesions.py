"""Tracked new lesions of one model version where another version did not measure every scan."""

from pathlib import Path

import pandas as pd
import pytest
from tests.workflows.analysis_cohort import N_MS, one, settings, tsv

from lesion_dynamics.workflows import analysis

TRACKED = "segmenter/1"


def fail(study: Path, *participants: str) -> None:
    """Let version 2 fail on the second session of these participants."""
    path = study / "derivatives" / "segmenter-v2" / "lesion_measurements.tsv"
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    here = table["participant_id"].isin(participants) & (table["session_id"] == "ses-02")
    table["lesion_volume_mm3"] = table["lesion_volume_mm3"].astype(object)
    table.loc[here, ["lesion_volume_mm3", "status", "reason"]] = ["n/a", "failed", "no FLAIR"]
    tsv(path, table)


def tracked(study: Path) -> pd.DataFrame:
    """Of version 1: 5 and 7 new lesions in the two intervals of one participant, few elsewhere."""
    path = study / "derivatives" / "segmenter-v1" / "lesion_measurements.tsv"
    people = pd.read_csv(path, sep="\t")["participant_id"].unique()
    rows = [
        (who, start, end, TRACKED, new + number % 3)
        for number, who in enumerate(people)
        for start, end, new in (("ses-01", "ses-02", 0), ("ses-02", "ses-03", number % 4))
    ]
    table = pd.DataFrame(
        rows,
        columns=["participant_id", "start_session_id", "end_session_id", "model_version",
                 "new_lesion_count"],
    )  # fmt: skip
    table.loc[table["participant_id"] == "sub-ms1", "new_lesion_count"] = [5, 7]
    tsv(study / "derivatives" / "segmenter-v1" / "lesion_intervals.tsv", table)
    return table


def rate(study: Path, output: str) -> pd.Series:
    result = analysis.run(settings(study, output=output))
    return one(result.statistics, TRACKED, "MS", "new_lesions_per_year", "negative-binomial rate")


def test_a_scan_that_another_version_failed_on_takes_nobody_out_of_the_rate(study):
    tracked(study)
    alone = rate(study, "alone")
    assert alone["estimate"] > 0
    fail(study, "sub-ms1", "sub-ms2")
    both = rate(study, "both")
    # Over the same years as before, with the same new lesions.
    assert both["n"] == alone["n"] == N_MS
    assert both["estimate"] == pytest.approx(alone["estimate"], rel=1e-9)
    assert both["note"] == alone["note"]


def test_participants_without_tracked_rows_are_counted_and_named(study):
    table = tracked(study)
    fail(study, "sub-ms1", "sub-ms2")
    # As tracking wrote it before the second session of sub-ms1 and all of sub-ms3 were there.
    older = table[~(table["participant_id"].eq("sub-ms3"))]
    older = older[~(older["participant_id"].eq("sub-ms1") & older["end_session_id"].eq("ses-02"))]
    tsv(study / "derivatives" / "segmenter-v1" / "lesion_intervals.tsv", older)
    found = rate(study, "older")
    assert found["n"] == N_MS - 2
    assert (
        "2 participants in remission without a count in the table of tracked lesions left out:"
        " sub-ms1, sub-ms3"
    ) in found["note"]
