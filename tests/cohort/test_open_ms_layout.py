"""The open MS data, on a made-up tree of upstream's layout and on the real one."""

import os
from pathlib import Path

import numpy as np
import pytest
from tests.cohort.cohort_files import AFFINE, SHAPE, write_nifti

from lesion_dynamics.cohort.cohort import SEQUENCES
from lesion_dynamics.cohort.open_ms_layout import find_scans
from lesion_dynamics.cohort.pixel_check import unusable_masks, unusable_scans
from lesion_dynamics.cohort.reading import read_cohort, read_tables
from lesion_dynamics.errors import CohortError, ConfigurationError
from lesion_dynamics.settings.cohort import CohortSettings, Prepared

REPOSITORY = Path(__file__).parents[2]
REAL = Path(os.environ.get("OPEN_MS_DATA", REPOSITORY.parent / "shared" / "open_ms_data"))

TAIL = "N4_noneck_reduced_winsor_regtoFLAIR"
ALL_PREPARED = Prepared(skull_stripped=True, sequences_aligned=True, bias_corrected=True)


def _settings(root, **changed):
    return CohortSettings(name="open_ms", layout="open_ms", root=root, **changed)


@pytest.fixture
def upstream(tmp_path):
    cross = tmp_path / "cross_sectional"
    for number in ("07", "26"):
        folder = cross / "MNI" / f"patient{number}"
        mask = np.zeros(SHAPE, np.uint8)
        write_nifti(folder / f"GOLD_STANDARD_{TAIL}_regtoMNI.nii.gz", mask)
    for sequence in ("FLAIR", "T1", "T1POST", "T2"):
        write_nifti(folder / f"{sequence}_{TAIL}_brain_N4_regtoMNI.nii.gz")
    (cross / "patient_info.csv").write_text(
        "patient_id,age,sex,ms_type\n7,53,F,RR\n8,30,M,RR\n26,40,F,N/A\n"
    )
    raw = tmp_path / "longitudinal" / "raw" / "patient07"
    for study in (1, 2):
        write_nifti(raw / f"study{study}_FLAIR.nii.gz")
        write_nifti(raw / f"study{study}_T2W.nii.gz", shape=(7, 7, 7))
    write_nifti(raw / "study2_T1W.nii.gz", shape=(8, 8, 8))
    write_nifti(raw / "gt.nii.gz", np.ones(SHAPE, np.uint8))
    (tmp_path / "longitudinal" / "patient_info.csv").write_text(
        "patient_id,sex,days_between_studies,age,ms_type\n7,M,317,40,SP\n"
    )
    return tmp_path


def test_the_two_parts_are_different_people(upstream):
    found = read_tables(_settings(upstream))
    assert found.participants["participant_id"].tolist() == [
        "sub-cross07",
        "sub-cross26",
        "sub-long07",
    ]
    assert found.participants["age_years"].tolist() == [53, 40, 40]
    assert found.participants["sex"].tolist() == ["F", "F", "M"]
    assert set(found.participants["diagnosis"]) == {"MS"}
    assert found.sessions["days_from_baseline"].tolist() == [0, 0, 0, 317]
    assert not found.attacks_recorded


def test_each_scan_says_how_it_was_prepared(upstream):
    cohort = read_cohort(_settings(upstream), optional_sequences=("T1w", "T2w"))
    cross, first, second = cohort.scans
    assert (cross.key, cross.prepared) == (("sub-cross26", "ses-01"), ALL_PREPARED)
    assert set(cross.images) == {"FLAIR", "T1w", "T2w"}
    assert cross.images["T1w"].name.startswith("T1_N4")
    assert cross.reference_mask is not None
    assert (first.key, first.prepared) == (("sub-long07", "ses-01"), Prepared())
    assert set(first.images) == {"FLAIR", "T2w"}
    assert set(second.images) == {"FLAIR", "T1w", "T2w"}
    assert first.reference_mask is None


def test_a_sequence_that_upstream_has_not_is_no_fault_unless_it_is_needed(upstream):
    wanted = tuple(name for name in SEQUENCES if name != "FLAIR")
    cohort = read_cohort(_settings(upstream), optional_sequences=wanted)
    assert all("PDw" not in scan.images for scan in cohort.scans)
    assert len(cohort.scans) == 3
    tables = read_tables(_settings(upstream))
    found, exclusions = find_scans(
        _settings(upstream), tables, required_sequences=("FLAIR", "PDw"), optional_sequences=()
    )
    assert found == []
    remedies = {one.remedy for one in exclusions if one.reason.startswith("no PDw in")}
    assert remedies == {"The open MS data have none: FLAIR, T1w, T2w alone."}


def test_a_patient_without_a_flair_is_left_out(upstream):
    (exclusion,) = read_cohort(_settings(upstream)).exclusions
    assert exclusion.participant_id == "sub-cross07"
    assert exclusion.reason.startswith("no FLAIR in cross_sectional/MNI/patient07")


def test_a_prepared_t1w_off_the_flair_grid_leaves_the_scan_out(upstream):
    folder = upstream / "cross_sectional" / "MNI" / "patient26"
    affine = AFFINE + np.eye(4) * 0.5
    write_nifti(folder / f"T1_{TAIL}_brain_N4_regtoMNI.nii.gz", affine=affine)
    reasons = [one.reason for one in read_cohort(_settings(upstream)).exclusions]
    assert any("T1w is not on the FLAIR grid" in reason for reason in reasons)


@pytest.mark.parametrize("fault", ["grid", "labels", "half", "link"])
def test_a_bad_reference_mask_costs_training_the_scan_and_inference_nothing(upstream, fault):
    mask = upstream / "cross_sectional/MNI/patient26" / f"GOLD_STANDARD_{TAIL}_regtoMNI.nii.gz"
    if fault == "grid":
        write_nifti(mask, np.zeros(SHAPE, np.uint8), affine=AFFINE + np.eye(4) * 0.5)
    elif fault == "labels":
        write_nifti(mask)
    elif fault == "half":
        mask.write_bytes(mask.read_bytes()[:20])
    else:
        mask.unlink()
        mask.symlink_to("gone.nii.gz")
    who = ("sub-cross26", "ses-01")

    learning = read_cohort(_settings(upstream))
    left_out = [*learning.exclusions, *unusable_scans(learning.scans, processes=1)]
    assert (*who, True) in [(one.participant_id, one.session_id, one.failed) for one in left_out]
    assert learning.unused_masks == ()

    applying = read_cohort(_settings(upstream), masks_needed=False)
    assert who in [scan.key for scan in applying.scans]
    assert unusable_scans(applying.scans, processes=1, masks_needed=False) == []
    (remark,) = [*applying.unused_masks, *unusable_masks(applying.scans, processes=1)]
    assert (remark.participant_id, remark.session_id) == who
    assert mask.name in remark.line
    assert remark.remedy


def test_one_part_alone_is_a_cohort(upstream):
    (upstream / "longitudinal").rename(upstream / "elsewhere")
    assert [scan.participant_id for scan in read_cohort(_settings(upstream)).scans] == [
        "sub-cross26"
    ]


def test_a_session_without_days_is_refused(upstream):
    info = upstream / "longitudinal" / "patient_info.csv"
    info.write_text(info.read_text().replace("317", ""))
    with pytest.raises(CohortError, match="session sub-long07 ses-02 has no days"):
        read_cohort(_settings(upstream))


@pytest.mark.parametrize(
    "content",
    [
        "patient_id,age\n",
        "id\n7\n",
        "patient_id\nseven\n",
        "age,patient_id\n7\n",
        "patient_id,age\n7,53\n26,40\n7,54\n",
    ],
)
def test_a_table_that_does_not_know_a_patient_is_refused(upstream, content):
    (upstream / "cross_sectional" / "patient_info.csv").write_text(content)
    with pytest.raises(CohortError, match=r"patient_info\.csv"):
        read_cohort(_settings(upstream))


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(CohortError, match="not the open MS data"):
        read_cohort(_settings(tmp_path))


@pytest.mark.parametrize("key", ["prepared", "reference_masks"])
def test_settings_that_the_layout_would_not_read_are_refused(upstream, key):
    value = ALL_PREPARED if key == "prepared" else upstream
    with pytest.raises(ConfigurationError, match=f"cohort.{key} is set"):
        read_cohort(_settings(upstream, **{key: value}))


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no open MS data at {REAL} (set OPEN_MS_DATA)")
def test_the_real_data_are_five_scans_of_three_patients():
    cohort = read_cohort(_settings(REAL))
    assert [scan.key for scan in cohort.scans] == [
        ("sub-cross26", "ses-01"),
        ("sub-long01", "ses-01"),
        ("sub-long01", "ses-02"),
        ("sub-long03", "ses-01"),
        ("sub-long03", "ses-02"),
    ]
    assert ["T1w" in scan.images for scan in cohort.scans] == [True, True, True, False, True]
    days = cohort.tables.sessions.query("participant_id.str.contains('long')")
    assert days["days_from_baseline"].tolist() == [0, 203, 0, 671]
    assert len(cohort.exclusions) == 17
    assert all(one.participant_id.startswith("sub-cross") for one in cohort.exclusions)
    assert unusable_scans(cohort.scans, processes=2) == []
