"""The check of tables: people, days, scanners, attacks, and choices between files."""

import pandas as pd
import pytest
from tests.workflows.checked_cohort import MS, NMO, kinds, settings

from lesion_dynamics.workflows.check import check, run


def test_a_sex_that_changes_is_found_in_tables_and_sidecars(cohort):
    cohort.sidecar(MS, "ses-02", PatientSex="M", PatientAge="032Y")
    (found,) = check(settings(cohort)).findings
    assert found.kind == "sex-differs"
    assert found.what == (
        "the sex is F in the table of participants and M in the sidecar of FLAIR ses-02"
    )
    cohort.sidecar(MS, "ses-02", PatientSex="F")
    cohort.table(f"{NMO}/{NMO}_sessions.tsv", "session_id days_from_baseline sex",
                 "ses-01 0 male", "ses-02 370 F")  # fmt: skip
    assert kinds(cohort) == ["sex-differs"]


def test_rows_of_a_manifest_are_held_against_each_other(cohort):
    files = [cohort.image(NMO, session, "FLAIR") for session in ("ses-01", "ses-02")]
    rows = [
        "participant_id session_id diagnosis days_from_baseline FLAIR sex age scanner",
        f"{NMO} ses-01 NMOSD 0 {files[0]} F 40 A",
        f"{NMO} ses-02 NMOSD 370 {files[1]} M 51 B",
    ]
    cohort.table("manifest.tsv", *rows)
    values = {"name": "mine", "layout": "manifest", "root": cohort.root}
    assert kinds(cohort, cohort=values) == [
        "sex-differs",
        "age-differs",
        "scanner-changes",
        "attacks-not-recorded",
    ]
    cohort.table("manifest.tsv", *(row.replace(str(files[1]), str(files[0])) for row in rows))
    assert kinds(cohort, cohort=values, pixels=False)[0] == "same-image"


@pytest.mark.parametrize(
    ("ages", "kind"),
    [
        (("31", "32"), []),
        (("31", "31"), []),  # whole years: the birthday is to come
        (("31", "33"), []),
        (("31", "34"), ["age-differs"]),
        (("31", "29"), ["age-differs"]),
        (("40", "41"), ["age-differs"]),  # participants.tsv says 31
        (("31", "320"), ["age-implausible"]),
        (("n/a", "89+"), []),
    ],
)
def test_an_age_that_does_not_fit_the_days_is_found(cohort, ages, kind):
    rows = [f"ses-01 0 siteA {ages[0]}", f"ses-02 370 siteA {ages[1]}"]
    cohort.table(f"{MS}/{MS}_sessions.tsv", "session_id days_from_baseline scanner age", *rows)
    assert kinds(cohort) == kind


@pytest.mark.parametrize(("age", "kind"), [(31, []), (36, []), (41, []), (43, ["age-differs"])])
def test_the_age_of_the_participants_table_may_be_that_of_any_session(cohort, age, kind):
    people = ["participant_id diagnosis age sex scanner", f"{NMO} NMOSD n/a M siteA"]
    cohort.table("participants.tsv", *people, f"{MS} MS {age} F siteA")
    rows = [
        "session_id days_from_baseline scanner age",
        "ses-01 0 siteA 31",
        "ses-02 3650 siteA 41",
    ]
    cohort.table(f"{MS}/{MS}_sessions.tsv", *rows)
    assert kinds(cohort) == kind


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        (("ses-01 0 A", "ses-02 370 B"), ["scanner-changes"]),
        (("ses-01 0 A", "ses-02 0 A"), ["days-same"]),
        (("ses-01 370 A", "ses-02 0 A"), ["days-out-of-order"]),
        (("ses-01 5 A", "ses-02 370 A"), ["baseline-not-first"]),
        (("ses-01 0 A", "ses-02 45123 A"), ["days-implausible"]),
    ],
)
def test_doubtful_sessions_are_found(cohort, rows, kind):
    cohort.table(f"{NMO}/{NMO}_sessions.tsv", "session_id days_from_baseline scanner", *rows)
    assert kinds(cohort) == kind


def test_scanners_of_sidecars_stand_in_where_the_tables_know_none(cohort):
    header = "session_id days_from_baseline"
    cohort.table(f"{NMO}/{NMO}_sessions.tsv", header, "ses-01 0", "ses-02 370")
    for session, serial in (("ses-01", "1234"), ("ses-02", "5678")):
        cohort.sidecar(NMO, session, Manufacturer="GE", DeviceSerialNumber=serial)
    (found,) = check(settings(cohort)).findings
    assert found.kind == "scanner-changes"
    assert "GE #" in found.what
    assert "1234" not in found.what


def test_attacks_that_are_not_known_are_said(cohort):
    header = "participant_id attack_id days_from_baseline"
    cohort.table("phenotype/attacks.tsv", header, f"{MS} 1 n/a")
    assert kinds(cohort) == ["attack-date-unknown"]
    (cohort.root / "phenotype/attacks.tsv").unlink()
    assert kinds(cohort) == ["attacks-not-recorded"]


def test_a_choice_between_candidates_is_shown_with_the_rejected(cohort):
    plain = cohort.image(MS, "ses-01", "FLAIR")
    cohort.image_at(plain.with_name("sub-ms01_ses-01_run-2_FLAIR.nii.gz"), 50)
    chosen = settings(cohort)
    result = run(chosen)
    assert [f.kind for f in result.findings] == ["several-candidates"]
    scans = pd.read_csv(chosen.output / "scans.tsv", sep="\t").set_index("file")
    row = scans.loc["sub-ms01/ses-01/anat/sub-ms01_ses-01_FLAIR.nii.gz"]
    assert row["chosen_by"] == "plain"
    assert row["rejected"] == "sub-ms01_ses-01_run-2_FLAIR.nii.gz"


def test_half_a_month_of_follow_up_are_months_or_years(cohort):
    rows = ["participant_id\tdiagnosis"]
    for number in range(5):
        who = f"sub-{number}"
        cohort.table(f"{who}/{who}_sessions.tsv", "session_id days_from_baseline",
                     "ses-01 0", "ses-02 1")  # fmt: skip
        rows.append(f"{who}\tMS")
    people = cohort.root / "participants.tsv"
    people.write_text(people.read_text() + "\n".join(f"{r}\tn/a\tn/a\tn/a" for r in rows[1:]))
    assert "days-implausible" in kinds(cohort)
