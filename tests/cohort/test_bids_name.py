"""BIDS names are parsed and built; ids cannot leave the cohort's folder."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesion_dynamics.cohort.bids_name import ENTITY_ORDER, BidsName, label_of
from lesion_dynamics.errors import CohortError

LABELS = st.text("abcXYZ019", min_size=1, max_size=6)
OTHER_ENTITIES = st.dictionaries(st.sampled_from(ENTITY_ORDER), LABELS, max_size=6)


@given(LABELS, OTHER_ENTITIES, LABELS)
def test_a_name_built_and_parsed_is_the_same(sub, others, suffix):
    name = BidsName({**others, "sub": sub}, suffix, ".nii.gz")
    assert BidsName.parse(name.filename) == name
    assert hash(BidsName.parse(name.filename)) == hash(name)


def test_entities_stand_in_the_order_of_bids_whatever_order_they_came_in():
    entities = {"desc": "x", "label": "L", "ses": "01", "space": "T1w", "run": "2", "sub": "ms01"}
    assert BidsName(entities, "mask", ".nii.gz").filename == (
        "sub-ms01_ses-01_run-2_space-T1w_label-L_desc-x_mask.nii.gz"
    )


def test_a_derivative_changes_the_suffix_and_not_a_participant_of_that_name():
    name = BidsName.of_scan("sub-FLAIR01", "ses-FLAIR", suffix="FLAIR")
    mask = name.having({"label": "L"}, suffix="mask")
    assert mask.filename == "sub-FLAIR01_ses-FLAIR_label-L_mask.nii.gz"
    assert name.having({}, suffix="FLAIR", extension=".json").extension == ".json"


def test_the_path_of_a_scan():
    path = BidsName.of_scan("sub-ms01", "ses-01", suffix="T1w").path_under(Path("data"))
    assert path == Path("data/sub-ms01/ses-01/anat/sub-ms01_ses-01_T1w.nii.gz")


@pytest.mark.parametrize(
    "filename",
    ["", "FLAIR.nii.gz", "ses-01_FLAIR.nii.gz", "sub-01_sub-02_FLAIR.nii.gz", "sub-01_FLAIR",
     "sub-_FLAIR.nii.gz", "sub-01_x-2_FLAIR.nii.gz", "sub-01_ses-0-1_FLAIR.nii.gz",
     "sub-01_ses-01_.nii.gz", "sub-01_ses-01_FLAIR.", "._sub-01_FLAIR.nii.gz",
     "sub-01_FLAIR.nii gz"],
)  # fmt: skip
def test_what_is_no_bids_name_is_refused(filename):
    with pytest.raises(CohortError, match="BIDS"):
        BidsName.parse(filename)


@pytest.mark.parametrize(
    "identifier",
    ["sub-../../etc", "sub-..", "sub-a/b", "sub-a_b", "sub-a-b", "sub-", "01", "ses-01", "/sub-01",
     "sub-01\n", "sub-é", "sub-a b", "SUB-01", "sub-\x00"],
)  # fmt: skip
def test_an_id_that_could_leave_the_folder_is_refused(identifier):
    with pytest.raises(CohortError):
        label_of(identifier, "sub")
    with pytest.raises(CohortError):
        BidsName.of_scan(identifier, "ses-01", suffix="FLAIR")


@given(st.text(max_size=12))
def test_no_text_gives_a_path_outside_the_root(text):
    try:
        name = BidsName.of_scan(f"sub-{text}", "ses-01", suffix="FLAIR")
    except CohortError:
        return
    path = name.path_under(Path("/data"))
    assert path.parts[:2] == ("/", "data")
    assert len(path.parts) == 6
    assert ".." not in path.parts
