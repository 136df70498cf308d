"""The check of a cohort: nothing where nothing is wrong, and the right word for every damage."""

import json
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from tests.cohort.cohort_files import BidsTree, write_nifti
from tests.conftest import ROOT, composed

from lesion_dynamics.cohort.checking.finding import KINDS
from lesion_dynamics.cohort.checking.sidecar import read_sidecar
from lesion_dynamics.errors import CohortError
from lesion_dynamics.settings.check import CheckSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows.check import check, run

SHAPE = (10, 12, 10)
AFFINE = np.diag([18.0, 18.0, 18.0, 1.0])
MS, NMO = "sub-ms01", "sub-nmo01"


class Cohort(BidsTree):
    """A `BidsTree` whose images cover a head and are all different; nothing is wrong with it."""

    def write(self):
        super().write()
        sessions = ("session_id days_from_baseline scanner", "ses-01 0 siteA", "ses-02 370 siteA")
        for who in (MS, NMO):
            self.table(f"{who}/{who}_sessions.tsv", *sessions)
        for seed, path in enumerate(sorted(self.root.glob("sub-*/ses-*/anat/*.nii.gz"))):
            self.image_at(path, seed)
        return self

    @staticmethod
    def image_at(path, seed=99, *, affine=AFFINE, shape=SHAPE, dtype=np.float32):
        voxels = np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)
        write_nifti(path, voxels, affine=affine)

    def sidecar(self, who, session, **content):
        path = self.image(who, session, "FLAIR")
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps(content))

    def stored(self, who, session, change, sequence="FLAIR"):
        """Change a stored image's header."""
        image = nib.load(self.image(who, session, sequence))
        image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)
        change(image)
        nib.save(image, self.image(who, session, sequence))


@pytest.fixture
def cohort(tmp_path):
    tree = Cohort(tmp_path / "data").write()
    tree.prepared = type(tree.prepared)()
    return tree


def settings(tree, **changed):
    """The shipped configuration for a tree, in this process alone."""
    study = yaml.safe_load((ROOT / "conf" / "study" / "hong2025.yaml").read_text())
    values = {
        "cohort": tree.settings,
        "required_sequences": ["FLAIR"],
        "optional_sequences": ["T1w", "T2w"],
        "pixels": True,
        "processes": 1,
        "shown_findings": 20,
        "study": study,
        "output": tree.root.parent / "check",
    }
    return validated(CheckSettings, {**values, **changed})


def kinds(tree, **changed):
    return [finding.kind for finding in check(settings(tree, **changed)).findings]


def test_a_cohort_without_faults_has_no_finding(cohort):
    result = check(settings(cohort))
    assert result.findings == ()
    assert result.exclusions == ()
    assert len(result.scans) == 4
    assert len(result.records) == 8
    assert result.remission.count("interval", "in remission") == 2


def test_the_phantom_has_no_error_and_no_warning_but_its_scanners(small_phantom):
    values = composed("check", f"cohort.root={small_phantom / 'study'}", "processes=1")
    result = check(validated(CheckSettings, values))
    assert {f.kind for f in result.findings if f.severity != "note"} <= {
        "scanner-changes",
        "field-of-view-small",  # the small variant is cut to keep the tests quick
    }


def _swapped(image):
    image.set_sform(AFFINE @ np.diag([-1, 1, 1, 1]), code=1)
    image.set_qform(AFFINE, code=1)


def _moved(image):
    affine = AFFINE.copy()
    affine[1, 3] += 7
    image.set_qform(affine, code=1)


def _no_form(image):
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)


def _sheared(image):
    affine = AFFINE.copy()
    affine[0, 1] = 2
    image.set_sform(affine, code=1)
    image.set_qform(None, code=0)


def _scaled(image):
    image.set_sform(AFFINE @ np.diag([1.1, 1, 1, 1]), code=1)
    image.set_qform(None, code=0)


def _is_label(image):
    image.header["intent_code"] = 1002


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (_swapped, {"left-right-disagrees", "orientation-changes"}),
        (_moved, {"sform-qform-disagree"}),
        (_no_form, {"left-right-unknown", "orientation-changes"}),
        (_sheared, {"axes-not-perpendicular"}),
        (_scaled, {"pixdim-disagrees"}),
        (_is_label, {"not-an-intensity-image"}),
    ],
)
def test_a_doubtful_header_is_found_and_leaves_nothing_out(cohort, change, kind):
    cohort.stored(MS, "ses-02", change)
    result = check(settings(cohort))
    assert kind >= {f.kind for f in result.findings} >= {k for k in kind if "changes" not in k}
    found = result.findings[0]
    assert (found.participant_id, found.session_id) == (MS, "ses-02")
    assert found.file == cohort.image(MS, "ses-02", "FLAIR")
    assert len(result.scans) == 4


def test_lengths_in_metres_are_refused_or_found(cohort):
    def in_metres(image):
        image.header["xyzt_units"] = 1

    cohort.stored(MS, "ses-02", in_metres)
    result = check(settings(cohort))
    said = [f.what for f in result.findings] + [e.reason for e in result.exclusions]
    assert len(said) == 1
    assert "metres" in said[0]


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"dtype": np.uint8}, "few-grey-levels"),
        ({"affine": AFFINE / 2}, "field-of-view-small"),
        ({"shape": (30, 12, 10)}, "field-of-view-large"),
        ({"affine": np.diag([9.0, 18, 18, 1]), "shape": (20, 12, 10)}, "voxel-sizes-change"),
    ],
)
def test_a_doubtful_image_is_found(cohort, changed, kind):
    cohort.image_at(cohort.image(NMO, "ses-02", "FLAIR"), **changed)
    assert kind in kinds(cohort)


@pytest.mark.parametrize("pixels", [True, False])
@pytest.mark.parametrize("who", [MS, NMO])
def test_a_copied_file_is_found_without_and_with_voxels_once(cohort, who, pixels):
    shutil.copy(cohort.image(MS, "ses-01", "T1w"), cohort.image(who, "ses-02", "FLAIR"))
    (found,) = check(settings(cohort, pixels=pixels)).findings
    assert found.kind == "same-image"
    assert (found.participant_id, found.session_id) == (who, "ses-02")
    assert found.what == "FLAIR: the same image as sub-ms01 ses-01 T1w"


def test_equal_voxels_under_another_header_are_found_by_the_voxels_alone(cohort):
    image = nib.load(cohort.image(MS, "ses-01", "FLAIR"))
    moved = AFFINE + np.array([[0, 0, 0, 5.0], *np.zeros((3, 4))])
    voxels = np.asarray(image.dataobj).astype(np.int16)
    write_nifti(cohort.image(NMO, "ses-01", "FLAIR"), voxels, affine=moved)
    assert kinds(cohort) == ["same-image"]
    assert kinds(cohort, pixels=False) == []


def test_uncompressed_files_alike_are_only_suspected_until_the_voxels_are_read(cohort):
    for seed, who in enumerate((MS, NMO)):
        plain = cohort.image(who, "ses-01", "FLAIR")
        plain.unlink()
        cohort.image_at(plain.with_suffix(""), 70 + seed)
    assert kinds(cohort, pixels=False) == ["perhaps-same-image"]
    assert kinds(cohort) == []


def test_a_scan_that_is_left_out_has_findings_that_may_say_why(cohort):
    cohort.prepared = type(cohort.prepared)(sequences_aligned=True)
    other = cohort.image(NMO, "ses-01", "FLAIR")
    cohort.image_at(other, 80, shape=(11, 12, 10))
    cohort.image_at(cohort.image(NMO, "ses-01", "T1w"), 81, shape=(11, 12, 10))
    shutil.copy(other, cohort.image(MS, "ses-02", "FLAIR"))
    result = check(settings(cohort, pixels=False))
    assert [e.session_id for e in result.exclusions] == ["ses-02"]
    assert "T1w is not on the FLAIR grid" in result.exclusions[0].reason
    (found,) = result.findings
    assert (found.kind, found.participant_id) == ("same-image", NMO)
    assert found.what == "FLAIR: the same image as sub-ms01 ses-02 FLAIR"
    assert len(result.records) == 6


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
    cohort.stored(MS, "ses-01", _moved)
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
