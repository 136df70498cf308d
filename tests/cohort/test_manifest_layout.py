"""A cohort of one table: files from anywhere, and each wrong cell by its row and column."""

import shutil

import numpy as np
import pytest
from tests.cohort.cohort_files import AFFINE, SHAPE, write_nifti

from lesion_dynamics.cohort.manifest_table import COLUMNS
from lesion_dynamics.cohort.reading import read_cohort, read_tables
from lesion_dynamics.errors import CohortError, ConfigurationError
from lesion_dynamics.settings.cohort import CohortSettings, Prepared

ROWS = (
    {"participant_id": "sub-b", "session_id": "ses-2", "FLAIR": "img/b2.nii.gz",
     "diagnosis": "NMOSD", "age": "41", "sex": "m", "days_from_baseline": "365"},
    {"participant_id": "sub-b", "session_id": "ses-1", "FLAIR": "img/b1.nii.gz",
     "diagnosis": "NMOSD", "age": "40", "sex": "Male", "scanner": "A", "days_from_baseline": "0"},
    {"participant_id": "sub-a", "session_id": "ses-1", "FLAIR": "img/a1.nii.gz",
     "T1w": "img/a1_t1.nii.gz", "reference_mask": "img/a1_mask.nii.gz", "diagnosis": "MS",
     "days_from_baseline": "0", "skull_stripped": "TRUE", "sequences_aligned": "false"},
)  # fmt: skip


class Manifest:
    """Three scans of two participants; tests change a cell and write it again."""

    def __init__(self, root):
        self.root = root
        self.rows = [dict(row) for row in ROWS]
        for name in ("a1", "a1_t1", "b1", "b2"):
            write_nifti(root / "img" / f"{name}.nii.gz")
        write_nifti(root / "img" / "a1_mask.nii.gz", np.ones(SHAPE, np.uint8))

    def write(self, name="manifest.tsv", columns=COLUMNS, missing="n/a"):
        separator = "," if name.endswith("csv") else "\t"
        lines = [columns, *([row.get(c, missing) for c in columns] for row in self.rows)]
        text = "\n".join(separator.join(line) for line in lines) + "\n"
        (self.root / name).write_text(text)
        return self

    def settings(self, **changed):
        return CohortSettings(name="mine", layout="manifest", root=self.root, **changed)


@pytest.fixture
def manifest(tmp_path):
    return Manifest(tmp_path / "cohort").write()


def test_rows_become_ordered_scans_with_their_files_and_tables(manifest):
    cohort = read_cohort(manifest.settings(), optional_sequences=("T1w", "T2w"))
    assert [scan.key for scan in cohort.scans] == [
        ("sub-a", "ses-1"),
        ("sub-b", "ses-1"),
        ("sub-b", "ses-2"),
    ]
    first = cohort.scans[0]
    assert first.images == {
        "FLAIR": manifest.root / "img/a1.nii.gz",
        "T1w": manifest.root / "img/a1_t1.nii.gz",
    }
    assert first.reference_mask == manifest.root / "img/a1_mask.nii.gz"
    assert cohort.scans[1].reference_mask is None
    people = cohort.tables.participants.set_index("participant_id")
    assert people["diagnosis"].to_dict() == {"sub-a": "MS", "sub-b": "NMOSD"}
    assert people.loc["sub-b", ["age_years", "sex", "scanner"]].tolist() == [40, "M", "A"]
    assert np.isnan(people.loc["sub-a", "age_years"])
    sessions = cohort.tables.sessions
    assert sessions["days_from_baseline"].tolist() == [0, 0, 365]
    assert sessions["scanner"].isna().tolist() == [True, False, True]
    assert not cohort.tables.attacks_recorded


@pytest.mark.parametrize(("name", "missing"), [("list.csv", ""), ("sub/list.TSV", "n/a")])
def test_the_table_is_read_by_its_extension_wherever_it_lies(manifest, name, missing):
    (manifest.root / "sub").mkdir()
    if "/" in name:
        for row in manifest.rows:
            row["FLAIR"] = f"../{row['FLAIR']}"
        manifest.rows[2]["T1w"] = str(manifest.root / "img/a1_t1.nii.gz")
        manifest.rows[2]["reference_mask"] = "n/a"
    manifest.write(name, missing=missing)
    (manifest.root / "manifest.tsv").unlink()
    cohort = read_cohort(manifest.settings(manifest=name))
    assert len(cohort.scans) == 3
    assert set(cohort.scans[0].images) == {"FLAIR", "T1w"}


def test_a_row_says_itself_how_its_scan_was_prepared(manifest):
    scans = read_cohort(manifest.settings(prepared=Prepared(bias_corrected=True))).scans
    assert scans[0].prepared == Prepared(skull_stripped=True, bias_corrected=True)
    assert scans[1].prepared is None
    write_nifti(manifest.root / "img/a1_t1.nii.gz", shape=(9, 9, 9))
    aligned = manifest.settings(prepared=Prepared(sequences_aligned=True))
    assert len(read_cohort(aligned).scans) == 3  # the row says that they are not
    manifest.rows[2]["sequences_aligned"] = "n/a"
    manifest.write()
    (left_out,) = read_cohort(aligned).exclusions
    assert "T1w is not on the FLAIR grid" in left_out.reason


def test_attacks_stand_beside_the_manifest(manifest):
    table = manifest.root / "attacks.tsv"
    table.write_text("participant_id\tattack_id\tdays_from_baseline\nsub-b\t1\tn/a\n")
    found = read_tables(manifest.settings())
    assert found.attacks_recorded
    assert found.attacks["participant_id"].tolist() == ["sub-b"]
    assert found.attacks["days_from_baseline"].isna().all()
    shutil.copy(table, manifest.root / "attacks.csv")
    with pytest.raises(CohortError, match="two tables of attacks"):
        read_tables(manifest.settings())


def test_a_row_whose_file_is_not_there_is_left_out_with_row_and_column(manifest):
    manifest.rows[0]["FLAIR"] = "img/none.nii.gz"
    manifest.rows[1]["FLAIR"] = "n/a"
    manifest.write()
    cohort = read_cohort(manifest.settings())
    assert [(e.session_id, e.reason, e.failed) for e in cohort.exclusions] == [
        ("ses-1", "no FLAIR in row 2", False),
        ("ses-2", "row 1, column FLAIR: no file img/none.nii.gz", True),
    ]
    strict = read_cohort(manifest.settings(), required_sequences=("FLAIR", "T1w"))
    assert [scan.participant_id for scan in strict.scans] == ["sub-a"]


def test_a_mask_off_the_flair_grid_leaves_its_scan_out(manifest):
    write_nifti(manifest.root / "img/a1_mask.nii.gz", affine=AFFINE + np.eye(4))
    (left_out,) = read_cohort(manifest.settings()).exclusions
    assert "the reference mask is not on the FLAIR grid" in left_out.reason


@pytest.mark.parametrize(
    ("row", "column", "text", "said"),
    [
        (1, "participant_id", "sub-../../x", "'sub-../../x' is not a BIDS id"),
        (1, "participant_id", "b", "'b' is not a BIDS id"),
        (2, "session_id", "ses-1/..", "'ses-1/..' is not a BIDS id"),
        (3, "diagnosis", "RRMS", "'RRMS' is unknown. Write MS or NMOSD"),
        (3, "diagnosis", "n/a", "there is no diagnosis"),
        (2, "diagnosis", "MS", "sub-b has MS here and NMOSD in row 1"),
        (1, "days_from_baseline", "n/a", "nothing is given"),
        (1, "days_from_baseline", "12,5", "'12,5' is not a number"),
        (1, "days_from_baseline", "inf", "'inf' is not a number"),
        (2, "age", "forty", "'forty' is not a number"),
        (2, "sex", "X", "the sex 'X' is unknown"),
        (3, "skull_stripped", "maybe", "'maybe' is unknown. Write true, false or n/a"),
        (2, "session_id", "ses-2", "sub-b ses-2 has row 1 already"),
    ],
)
def test_a_wrong_cell_is_named_by_file_row_and_column(manifest, row, column, text, said):
    manifest.rows[row - 1][column] = text
    manifest.write()
    with pytest.raises(CohortError) as refused:
        read_cohort(manifest.settings())
    line = str(refused.value)
    assert line.startswith(f"{manifest.root / 'manifest.tsv'}: row {row}, column {column}: {said}")
    assert "\n" not in line


def test_participants_who_are_described_differently_are_not_guessed(manifest):
    manifest.rows[0]["sex"] = "F"
    manifest.rows[0]["scanner"] = "B"
    manifest.write()
    people = read_tables(manifest.settings()).participants.set_index("participant_id")
    assert people.loc["sub-b", ["sex", "scanner"]].isna().all()
    sessions = read_tables(manifest.settings()).sessions
    assert sessions["scanner"].tolist()[1:] == ["A", "B"]


def test_a_table_that_is_missing_or_lacks_a_column_is_refused(manifest):
    with pytest.raises(CohortError, match=r"the table none\.csv is missing"):
        read_cohort(manifest.settings(manifest="none.csv"))
    manifest.write(columns=[c for c in COLUMNS if c != "diagnosis"])
    with pytest.raises(CohortError, match="the column diagnosis is missing"):
        read_cohort(manifest.settings())
    manifest.write(columns=["T1W" if c == "T1w" else c for c in COLUMNS])
    with pytest.raises(CohortError, match="the column 'T1W' is written T1w"):
        read_cohort(manifest.settings())


def test_settings_of_other_layouts_are_refused(manifest):
    with pytest.raises(ConfigurationError, match=r"cohort\.reference_masks is set, but the layout"):
        read_cohort(manifest.settings(reference_masks=manifest.root))
    bids = CohortSettings(name="x", layout="bids", root=manifest.root, manifest="other.tsv")
    with pytest.raises(ConfigurationError, match=r"cohort\.manifest is set"):
        read_cohort(bids)
