"""What the check writes, refuses and explains."""

import json

import numpy as np
import pandas as pd
import pytest
from tests.cohort.cohort_files import write_nifti
from tests.conftest import ROOT
from tests.workflows.checked_cohort import AFFINE, MS, NMO, SHAPE, moved, settings

from lesion_dynamics.cohort.checking.finding import KINDS
from lesion_dynamics.cohort.checking.sidecar import read_sidecar
from lesion_dynamics.errors import CohortError
from lesion_dynamics.workflows.check import check, run


def test_everything_is_written_and_nothing_of_it_is_hidden(cohort, capsys):
    cohort.image(MS, "ses-02", "FLAIR").write_bytes(b"nothing")
    cohort.image_at(cohort.image(NMO, "ses-02", "T1w"), dtype=np.uint8)
    chosen = settings(cohort, shown_findings=0)
    result = run(chosen)
    tables = {p.name: pd.read_csv(p, sep="\t") for p in chosen.output.glob("*.tsv")}
    assert {n: len(t) for n, t in tables.items()} == {
        "scans.tsv": 6, "exclusions.tsv": 1, "findings.tsv": 1, "intervals.tsv": 1,
    }  # fmt: skip
    (excluded,) = tables["exclusions.tsv"].to_dict("records")
    assert excluded["session_id"] == "ses-02"
    assert excluded["failed"]
    assert "sub-ms01_ses-02_FLAIR.nii.gz" in excluded["reason"]
    summary = (chosen.output / "summary.txt").read_text()
    for part in (
        "1 more in findings.tsv", "1 few-grey-levels", "Intervals in remission: 1 of 1",
        "sub-ms01 ses-02", "at least 90 days",
    ):  # fmt: skip
        assert part in summary, part
    assert "few-grey-levels" in capsys.readouterr().out
    assert len(result.scans) == 3


def test_voxels_are_read_in_processes_and_their_faults_leave_scans_out(cohort):
    holed = np.ones(SHAPE, np.float32)
    holed[0, 0, 0] = np.nan
    write_nifti(cohort.image(NMO, "ses-01", "T1w"), holed, affine=AFFINE)
    result = check(settings(cohort, processes=2))
    (left_out,) = result.exclusions
    assert "1 NaN" in left_out.reason
    assert [scan.key for scan in result.scans] == [(MS, "ses-01"), (MS, "ses-02"), (NMO, "ses-02")]
    assert [r.name for r in result.records] == [r.name for r in check(settings(cohort)).records]
    assert len(check(settings(cohort, pixels=False)).scans) == 4


def test_a_cohort_without_a_usable_scan_is_written_and_refused(cohort):
    for path in cohort.root.rglob("*_FLAIR.nii.gz"):
        path.unlink()
    chosen = settings(cohort)
    with pytest.raises(CohortError, match="no usable scan: 4 left out"):
        run(chosen)
    assert len(pd.read_csv(chosen.output / "exclusions.tsv", sep="\t")) == 4
    assert (chosen.output / "summary.txt").is_file()


@pytest.mark.parametrize(
    "changed",
    [
        {"required_sequences": ["T2w"]},
        {"optional_sequences": []},
        {"study": {"name": "x", "washout_days": 500}},
        {"pixels": False},
        {"shown_findings": 0},
    ],
)
def test_every_knob_changes_the_result(cohort, changed):
    cohort.stored(MS, "ses-01", moved)
    cohort.image_at(cohort.image(MS, "ses-01", "T2w"), 61)
    cohort.table("phenotype/attacks.tsv", "participant_id attack_id days_from_baseline",
                 f"{MS} 1 -100")  # fmt: skip
    run(settings(cohort))
    plain = (cohort.root.parent / "check" / "summary.txt").read_text()
    run(settings(cohort, **changed, output=cohort.root.parent / "other"))
    assert (cohort.root.parent / "other" / "summary.txt").read_text() != plain


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"PatientSex": "f", "PatientAge": "018M"}, ("F", 1.5)),
        ({"PatientSex": "O", "PatientAge": 44.5}, (None, 44.5)),
        ({"PatientSex": 3, "PatientAge": "old"}, (None, None)),
        ([1, 2], (None, None)),
    ],
)
def test_what_a_sidecar_says(tmp_path, content, expected):
    (tmp_path / "a.json").write_text(json.dumps(content))
    found = read_sidecar(tmp_path / "a.nii.gz")
    assert (found.sex, found.age_years) == expected


def test_every_finding_is_explained():
    text = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in text] == []
