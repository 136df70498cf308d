"""A BIDS cohort: the good scans go on, each bad one is left out with its reason."""

import gzip
import shutil

import nibabel as nib
import numpy as np
import pytest
from tests.cohort.cohort_files import AFFINE, SHAPE, write_nifti

from lesion_dynamics.cohort.pixel_check import unusable_scans
from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import CohortError
from lesion_dynamics.settings.cohort import Prepared


def _shifted(millimetres):
    affine = AFFINE.copy()
    affine[0, 3] += millimetres
    return affine


def _only_exclusion(tree):
    cohort = read_cohort(tree.settings)
    assert len(cohort.scans) == 3
    (exclusion,) = cohort.exclusions
    assert (exclusion.participant_id, exclusion.session_id) == ("sub-ms01", "ses-02")
    return exclusion.reason


def test_a_whole_cohort_in_order(tree):
    cohort = read_cohort(tree.settings)
    assert [scan.key for scan in cohort.scans] == [
        ("sub-ms01", "ses-01"),
        ("sub-ms01", "ses-02"),
        ("sub-nmo01", "ses-01"),
        ("sub-nmo01", "ses-02"),
    ]
    assert set(cohort.scans[0].images) == {"FLAIR", "T1w"}
    assert cohort.scans[0].prepared is None
    assert cohort.exclusions == ()
    assert cohort.diagnosis_of("sub-nmo01") == "NMOSD"


def test_an_optional_sequence_may_be_missing_a_required_one_not(tree):
    tree.image("sub-ms01", "ses-02", "T1w").unlink()
    assert set(read_cohort(tree.settings).scans[1].images) == {"FLAIR"}
    strict = read_cohort(tree.settings, required_sequences=("FLAIR", "T1w"))
    assert [exclusion.reason for exclusion in strict.exclusions] == [
        "no T1w in sub-ms01/ses-02/anat"
    ]


def test_a_sequence_that_nobody_asks_for_is_not_looked_at(tree):
    write_nifti(tree.image("sub-ms01", "ses-01", "T1w"), shape=(9, 9, 9))
    cohort = read_cohort(tree.settings, optional_sequences=())
    assert len(cohort.scans) == 4
    assert set(cohort.scans[0].images) == {"FLAIR"}


def test_doubts_about_headers_stay_with_their_scan(tree):
    path = tree.image("sub-ms01", "ses-01", "T1w")
    image = nib.load(path)
    image.set_qform(_shifted(3), code=1)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), AFFINE, image.header), path)
    scans = read_cohort(tree.settings).scans
    assert scans[0].remarks == ("T1w: sform and qform disagree by up to 3.0 mm; sform is used",)
    assert scans[1].remarks == ()


def test_a_missing_flair_leaves_the_scan_out(tree):
    tree.image("sub-ms01", "ses-02", "FLAIR").unlink()
    assert _only_exclusion(tree) == "no FLAIR in sub-ms01/ses-02/anat"


def test_a_missing_session_folder_leaves_the_scan_out(tree):
    shutil.rmtree(tree.root / "sub-ms01" / "ses-02")
    assert _only_exclusion(tree) == "no FLAIR in sub-ms01/ses-02/anat"


def test_a_series_leaves_the_scan_out(tree):
    write_nifti(tree.image("sub-ms01", "ses-02", "FLAIR"), shape=(*SHAPE, 2))
    assert _only_exclusion(tree) == (
        "sub-ms01/ses-02/anat/sub-ms01_ses-02_FLAIR.nii.gz:"
        " the image is 4 x 5 x 6 x 2: not one 3D image"
    )


def test_a_file_that_is_no_image_leaves_the_scan_out(tree):
    tree.image("sub-ms01", "ses-02", "FLAIR").write_bytes(gzip.compress(b"nothing"))
    assert "not a readable NIfTI file" in _only_exclusion(tree)


def test_a_t1w_of_another_shape_leaves_the_scan_out(tree):
    write_nifti(tree.image("sub-ms01", "ses-02", "T1w"), shape=(4, 5, 7))
    reason = _only_exclusion(tree)
    assert "sub-ms01_ses-02_T1w.nii.gz: T1w is not on the FLAIR grid" in reason
    assert reason.endswith("4 x 5 x 7 voxels, the FLAIR has 4 x 5 x 6")


def test_a_t1w_in_another_place_leaves_the_scan_out(tree):
    write_nifti(tree.image("sub-ms01", "ses-02", "T1w"), affine=_shifted(1.5))
    assert _only_exclusion(tree).endswith("its corners lie up to 1.5 mm off")


def test_a_t1w_on_its_own_grid_is_welcome_where_sequences_are_not_aligned(tree):
    write_nifti(tree.image("sub-ms01", "ses-02", "T1w"), shape=(4, 5, 7), affine=_shifted(9))
    tree.prepared = Prepared()
    assert len(read_cohort(tree.settings).scans) == 4


def test_what_the_preferences_do_not_decide_is_not_chosen(tree):
    path = tree.image("sub-ms01", "ses-02", "FLAIR")
    content = path.read_bytes()
    path.unlink()
    for run in (1, 2):
        path.with_name(f"sub-ms01_ses-02_run-{run}_FLAIR.nii.gz").write_bytes(content)
    tree.prefer = ()
    said = "more than one FLAIR, and cohort.prefer does not decide (sub-ms01_ses-02_run-1_FLAIR."
    assert said in _only_exclusion(tree)
    path.with_name("sub-ms01_ses-02_run-2_FLAIR.nii.gz").unlink()
    assert len(read_cohort(tree.settings).scans) == 4


def test_an_image_that_somebody_else_is_named_in_leaves_the_scan_out(tree):
    path = tree.image("sub-ms01", "ses-02", "T1w")
    path.rename(path.with_name("sub-nmo01_ses-02_T1w.nii.gz"))
    assert _only_exclusion(tree) == (
        "sub-nmo01_ses-02_T1w.nii.gz lies in the folder of sub-ms01 ses-02"
    )


def test_the_plain_name_wins_over_names_with_more_entities(tree):
    plain = tree.image("sub-ms01", "ses-01", "FLAIR")
    shutil.copy(plain, plain.with_name("sub-ms01_ses-01_acq-fast_FLAIR.nii.gz"))
    shutil.copy(plain, plain.with_name("._sub-ms01_ses-01_FLAIR.nii.gz"))
    assert read_cohort(tree.settings).scans[0].images["FLAIR"] == plain


def test_reference_masks_are_found_and_must_be_on_the_flair_grid(tree):
    tree.reference_masks = tree.root / "derivatives" / "reference"
    for session, affine in (("ses-01", AFFINE), ("ses-02", _shifted(1))):
        name = f"sub-ms01_{session}_label-L_mask.nii.gz"
        path = tree.reference_masks / "sub-ms01" / session / "anat" / name
        write_nifti(path, np.ones(SHAPE, np.uint8), affine=affine)
    cohort = read_cohort(tree.settings)
    assert [scan.reference_mask is not None for scan in cohort.scans] == [True, False, False]
    assert "the reference mask is not on the FLAIR grid" in cohort.exclusions[0].reason


def test_a_participant_without_a_folder_is_left_out(tree):
    shutil.rmtree(tree.root / "sub-ms01")
    cohort = read_cohort(tree.settings)
    assert len(cohort.scans) == 2
    assert (cohort.exclusions[0].participant_id, cohort.exclusions[0].session_id) == (
        "sub-ms01",
        None,
    )


def test_images_without_a_diagnosis_refuse_the_cohort(tree):
    shutil.copytree(tree.root / "sub-ms01", tree.root / "sub-ms02")
    with pytest.raises(CohortError, match="sub-ms02 has images but no diagnosis"):
        read_cohort(tree.settings)


def test_images_without_days_refuse_the_cohort(tree):
    shutil.copytree(tree.root / "sub-ms01" / "ses-01", tree.root / "sub-ms01" / "ses-03")
    with pytest.raises(CohortError, match="ses-03 of sub-ms01 has images but no days"):
        read_cohort(tree.settings)


def test_no_such_folder_is_refused(tree):
    shutil.rmtree(tree.root)
    with pytest.raises(CohortError, match="there is no cohort folder"):
        read_cohort(tree.settings)


def test_no_folder_of_reference_masks_is_refused(tree):
    tree.reference_masks = tree.root / "none"
    with pytest.raises(CohortError, match="no folder of reference masks"):
        read_cohort(tree.settings)


def test_a_cohort_without_a_usable_scan_says_why_the_first_is_not(tree):
    for path in tree.root.rglob("*_FLAIR.nii.gz"):
        path.unlink()
    with pytest.raises(CohortError) as refused:
        read_cohort(tree.settings)
    assert "no usable scan: 4 left out, the first (sub-ms01 ses-01): no FLAIR" in str(refused.value)


def test_a_cohort_without_sessions_is_empty(tree):
    for who in ("sub-ms01", "sub-nmo01"):
        tree.table(f"{who}/{who}_sessions.tsv", "session_id days_from_baseline")
        for session in ("ses-01", "ses-02"):
            shutil.rmtree(tree.root / who / session)
    with pytest.raises(CohortError, match="no sessions on disk"):
        read_cohort(tree.settings)


@pytest.mark.parametrize("processes", [1, 3])
def test_unusable_voxels_are_found_scan_by_scan(tree, processes):
    cohort = read_cohort(tree.settings)
    assert unusable_scans(cohort.scans, processes=processes) == []
    flair = tree.image("sub-ms01", "ses-01", "FLAIR")
    # Large enough for the damage to lie behind all that the header's reader looks at.
    noise = np.random.default_rng(0).random((30, 30, 30)).astype(np.float32)
    write_nifti(flair, noise)
    write_nifti(tree.image("sub-ms01", "ses-01", "T1w"), noise)
    flair.write_bytes(flair.read_bytes()[:-60])
    write_nifti(tree.image("sub-ms01", "ses-02", "T1w"), np.zeros(SHAPE, np.float32))
    holed = np.ones(SHAPE, np.float32)
    holed[0, 0, 0] = np.nan
    write_nifti(tree.image("sub-nmo01", "ses-02", "FLAIR"), holed)
    found = unusable_scans(read_cohort(tree.settings).scans, processes=processes)
    assert [(one.participant_id, one.session_id) for one in found] == [
        ("sub-ms01", "ses-01"),
        ("sub-ms01", "ses-02"),
        ("sub-nmo01", "ses-02"),
    ]
    for one, words in zip(found, ("truncated", "every voxel is 0", "1 NaN"), strict=True):
        assert words in one.reason


def test_a_reference_mask_that_is_none_is_unusable(tree):
    tree.reference_masks = tree.root / "derivatives" / "reference"
    folder = tree.reference_masks / "sub-ms01" / "ses-01" / "anat"
    write_nifti(folder / "sub-ms01_ses-01_label-L_mask.nii.gz")
    (found,) = unusable_scans(read_cohort(tree.settings).scans, processes=1)
    assert "a mask must hold 0 and one positive value" in found.reason
