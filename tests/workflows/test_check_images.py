"""The check of images: nothing where nothing is wrong, and the right word for every damage."""

import shutil

import nibabel as nib
import numpy as np
import pytest
from tests.cohort.cohort_files import write_nifti
from tests.conftest import composed
from tests.workflows.checked_cohort import AFFINE, MS, NMO, kinds, moved, settings

from lesion_dynamics.settings.check import CheckSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows.check import check


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
        (moved, {"sform-qform-disagree"}),
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
