"""nnU-Net raw datasets: labels, patterns of names, and what cannot be a cohort."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.importers import upstream_trees
from tests.importers.reading_back import days_of, read_back
from tests.importers.upstream_trees import PhantomScan, voxels_of

from lesion_dynamics.errors import CohortError, ConfigurationError
from lesion_dynamics.importers import nnunet
from lesion_dynamics.settings.cohort import Prepared


def test_nnunet_cases_are_participants_unless_a_pattern_takes_them_apart(
    tmp_path: Path, scan: PhantomScan
) -> None:
    upstream = upstream_trees.nnunet(tmp_path / "raw", scan)
    plain = nnunet.read(upstream)
    assert [s.participant_id for s in plain.scans] == [
        "sub-MS01v1", "sub-MS01v2", "sub-MS02v1", "sub-MS03v1",
    ]  # fmt: skip
    assert {s.session_id for s in plain.scans} == {"ses-01"}
    assert {s.days for s in plain.scans} == {0}
    apart = nnunet.read(
        upstream,
        case_id="(?P<participant>.+)_v(?P<session>[0-9]+)",
        diagnosis="NMOSD",
        skull_stripped=True,
    )
    cohort = read_back(apart, tmp_path / "out", upstream)
    assert [one.key for one in cohort.scans] == [
        ("sub-MS01", "ses-01"), ("sub-MS01", "ses-02"), ("sub-MS02", "ses-01"),
        ("sub-MS03", "ses-01"),
    ]  # fmt: skip
    assert days_of(cohort) == [0, None, 0, 0]
    assert cohort.scans[0].images["FLAIR"].name == "MS01_v1_0001.nii.gz"
    assert [one.reference_mask is None for one in cohort.scans] == [False, False, False, True]
    assert cohort.diagnosis_of("sub-MS01") == "NMOSD"
    assert cohort.scans[0].prepared == Prepared(skull_stripped=True, sequences_aligned=True)


def test_nnunet_one_of_several_labels_is_written_as_a_mask(
    tmp_path: Path, scan: PhantomScan
) -> None:
    labels = {"background": 0, "brain": 1, "lesion": 2}
    upstream = upstream_trees.nnunet(tmp_path / "raw", scan, labels=labels)
    label = upstream / "labelsTr" / "MS02_v1.nii.gz"
    lesion = voxels_of(scan.mask) > 0
    both = np.where(lesion, 2, 1).astype(np.uint8)
    upstream_trees.put_voxels(both, scan.mask, label)
    with pytest.raises(ConfigurationError, match=r"2 labels: brain, lesion.*--lesion-label"):
        nnunet.read(upstream)
    imported = nnunet.read(upstream, lesion_label="lesion")
    cohort = read_back(imported, tmp_path / "out", upstream)
    mask = cohort.scans[2].reference_mask
    assert mask is not None
    assert mask.is_relative_to(tmp_path / "out" / "masks")
    np.testing.assert_array_equal(voxels_of(mask), lesion)
    assert any("label lesion (2), written anew" in rule for rule in imported.dataset.rules)


def test_nnunet_voxels_that_nobody_judged_are_not_called_healthy(
    tmp_path: Path, scan: PhantomScan
) -> None:
    labels = {"background": 0, "lesion": 1, "ignore": 2}
    imported = nnunet.read(upstream_trees.nnunet(tmp_path, scan, labels=labels))
    assert {s.reference_mask for s in imported.scans} == {None}
    assert any("nobody judged" in rule for rule in imported.dataset.rules)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channel_names": {"0": "T1", "1": "ADC"}}, "no channel is called FLAIR"),
        ({"channel_names": {"0": "FLAIR", "1": "flair"}}, "two channels are FLAIR"),
        ({"file_ending": ".png"}, "not NIfTI"),
        ({"channel_names": None}, "no dataset.json of nnU-Net v2"),
        ({"labels": {"background": 0, "tumour": 1, "oedema": 2}}, "--lesion-label"),
    ],
)
def test_nnunet_datasets_that_cannot_be_a_cohort(
    tmp_path: Path, scan: PhantomScan, change: dict[str, object], message: str
) -> None:
    upstream = upstream_trees.nnunet(tmp_path, scan)
    described = json.loads((upstream / "dataset.json").read_text())
    (upstream / "dataset.json").write_text(json.dumps(described | change))
    with pytest.raises((CohortError, ConfigurationError), match=message):
        nnunet.read(upstream)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "not a regular expression"),
        ("MS[0-9]+.*", "names no participant"),
        ("(?P<participant>X.+)", "does not fit the pattern"),
    ],
)
def test_nnunet_patterns_that_do_not_work(
    tmp_path: Path, scan: PhantomScan, pattern: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        nnunet.read(upstream_trees.nnunet(tmp_path, scan), case_id=pattern)
