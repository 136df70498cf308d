"""Sessions of unknown day: read and kept, but not analysed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.cohort.cohort_files import write_nifti

from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.cohort.undated import REASON, dated_rows, without_undated
from lesion_dynamics.errors import CohortError
from lesion_dynamics.settings.cohort import CohortSettings

HEADER = ("participant_id", "session_id", "diagnosis", "days_from_baseline", "FLAIR")


@pytest.fixture
def settings(tmp_path: Path) -> CohortSettings:
    rows = [
        ("sub-a", "ses-02", "MS", "n/a", "a2.nii.gz"),
        ("sub-a", "ses-01", "MS", "0", "a1.nii.gz"),
        ("sub-b", "ses-01", "MS", "0", "b1.nii.gz"),
        ("sub-b", "ses-02", "MS", "400", "b2.nii.gz"),
    ]
    for row in rows:
        write_nifti(tmp_path / row[-1])
    write(tmp_path, rows)
    return CohortSettings(name="own", layout="manifest", root=tmp_path)


def write(root: Path, rows: list[tuple[str, ...]]) -> None:
    (root / "manifest.tsv").write_text("".join("\t".join(r) + "\n" for r in (HEADER, *rows)))


def test_an_undated_session_is_a_scan_like_any_other_and_comes_last(
    settings: CohortSettings,
) -> None:
    cohort = read_cohort(settings)
    assert [scan.key for scan in cohort.scans] == [
        ("sub-a", "ses-01"), ("sub-a", "ses-02"), ("sub-b", "ses-01"), ("sub-b", "ses-02"),
    ]  # fmt: skip
    days = cohort.tables.sessions["days_from_baseline"]
    np.testing.assert_array_equal(days, [0, np.nan, 0, 400])


def test_the_analysis_is_told_which_sessions_are_left_out_and_why(
    settings: CohortSettings,
) -> None:
    tables = read_cohort(settings).tables
    dated, undated = without_undated(tables, where=settings.root)
    assert undated.to_dict("records") == [
        {"participant_id": "sub-a", "session_id": "ses-02", "reason": REASON}
    ]
    assert dated.sessions["days_from_baseline"].tolist() == [0, 0, 400]
    volumes = tables.sessions[["participant_id", "session_id"]].assign(volume=[1, 2, 3, 4])
    assert dated_rows(volumes, undated)["volume"].tolist() == [1, 3, 4]


def test_a_cohort_without_any_day_cannot_be_analysed(settings: CohortSettings) -> None:
    write(settings.root, [("sub-a", "ses-01", "MS", "n/a", "a1.nii.gz")])
    with pytest.raises(CohortError, match="no session of this cohort has a day"):
        without_undated(read_cohort(settings).tables, where=settings.root)


def test_nothing_changes_where_every_session_is_dated(settings: CohortSettings) -> None:
    write(settings.root, [("sub-a", "ses-01", "MS", "3", "a1.nii.gz")])
    tables = read_cohort(settings).tables
    dated, undated = without_undated(tables, where=settings.root)
    assert dated is tables
    assert undated.empty
    assert list(undated.columns) == ["participant_id", "session_id", "reason"]
    assert isinstance(undated, pd.DataFrame)
