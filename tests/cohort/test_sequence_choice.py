"""Which of several runs or acquisitions is taken: by the stated rule, and visibly."""

import numpy as np
import pytest
from tests.cohort.cohort_files import SHAPE, write_nifti

from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import ConfigurationError

ISOTROPIC = np.diag([1.0, 1.0, 1.0, 1.0])
THICK = np.diag([0.5, 0.5, 3.0, 1.0])


def _acquire(tree, name, *, session="ses-02", affine=ISOTROPIC):
    """One more T1w of sub-ms01."""
    plain = tree.image("sub-ms01", session, "T1w")
    write_nifti(plain.with_name(f"sub-ms01_{session}_{name}.nii.gz"), affine=affine, shape=SHAPE)


def _choice(tree, *, session="ses-02", prefer=None):
    """Names of the chosen file and of the rejected ones, without participant and session."""
    for one in ("ses-01", "ses-02"):
        tree.image("sub-ms01", one, "T1w").unlink(missing_ok=True)
    tree.prepared = type(tree.prepared)()
    if prefer is not None:
        tree.prefer = prefer
    (scan,) = [s for s in read_cohort(tree.settings).scans if s.key == ("sub-ms01", session)]
    (choice,) = scan.choices
    assert scan.images["T1w"] == choice.chosen
    names = [path.name.split("_", 2)[2] for path in (choice.chosen, *choice.rejected)]
    return names[0].removesuffix("_T1w.nii.gz"), len(names) - 1, choice.decided_by


def test_the_plain_name_goes_before_all(tree):
    _acquire(tree, "run-2_T1w")
    (scan,) = [s for s in read_cohort(tree.settings).scans if s.key == ("sub-ms01", "ses-02")]
    assert scan.images["T1w"] == tree.image("sub-ms01", "ses-02", "T1w")
    assert scan.choices[0].decided_by == "plain"
    assert [path.name for path in scan.choices[0].rejected] == ["sub-ms01_ses-02_run-2_T1w.nii.gz"]


def test_an_image_with_contrast_agent_is_not_taken_where_there_is_one_without(tree):
    _acquire(tree, "ce-gad_T1w")
    _acquire(tree, "acq-fast_T1w", affine=THICK)
    assert _choice(tree) == ("acq-fast", 1, "no-ce")


def test_the_acquisition_that_all_sessions_have_goes_before_a_finer_one(tree):
    _acquire(tree, "acq-2D_T1w", session="ses-01", affine=THICK)
    _acquire(tree, "acq-2D_run-1_T1w", affine=THICK)
    _acquire(tree, "acq-3D_T1w", affine=ISOTROPIC)
    assert _choice(tree) == ("acq-2D_run-1", 1, "every_session")
    assert _choice(tree, prefer=("finest",)) == ("acq-3D", 1, "finest")


def test_isotropic_voxels_go_before_thick_slices_of_smaller_volume(tree):
    _acquire(tree, "acq-a_T1w", affine=THICK)
    _acquire(tree, "acq-b_T1w", affine=ISOTROPIC)
    assert _choice(tree) == ("acq-b", 1, "finest")


def test_an_image_that_cannot_be_read_is_not_the_finest(tree):
    _acquire(tree, "acq-b_T1w", affine=THICK)
    broken = tree.image("sub-ms01", "ses-02", "T1w").with_name("sub-ms01_ses-02_acq-a_T1w.nii")
    broken.write_bytes(b"nothing")
    assert _choice(tree) == ("acq-b", 1, "finest")


@pytest.mark.parametrize(
    ("prefer", "chosen"),
    [(("highest_run",), "run-10"), (("lowest_run",), "run-2"), (("run-9",), "run-9")],
)
def test_runs_are_numbers(tree, prefer, chosen):
    for run in (2, 9, 10):
        _acquire(tree, f"run-{run}_T1w")
    assert _choice(tree, prefer=prefer) == (chosen, 2, prefer[0])


def test_a_named_acquisition_goes_first_and_the_next_entry_decides_between_its_runs(tree):
    _acquire(tree, "acq-mine_run-1_T1w", affine=THICK)
    _acquire(tree, "acq-mine_run-2_T1w", affine=THICK)
    _acquire(tree, "acq-other_T1w")
    assert _choice(tree, prefer=("acq-mine", "highest_run")) == (
        "acq-mine_run-2",
        2,
        "highest_run",
    )
    # Where nobody has it, an entry decides nothing.
    assert _choice(tree, prefer=("rec-norm", "finest", "highest_run"))[0] == "acq-other"


def test_phase_images_are_no_candidates(tree):
    _acquire(tree, "part-phase_T1w")
    _acquire(tree, "part-mag_run-1_T1w")
    _acquire(tree, "part-mag_run-2_T1w")
    assert _choice(tree) == ("part-mag_run-2", 1, "highest_run")


@pytest.mark.parametrize("entry", ["best", "acquisition-3D", "no-contrast", "acq-", ""])
def test_an_entry_that_means_nothing_is_refused(tree, entry):
    tree.prefer = (entry,)
    with pytest.raises(ConfigurationError, match="unknown entry"):
        read_cohort(tree.settings)
