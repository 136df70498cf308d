"""Each layout, from a tiny tree of it to a manifest that reads clean."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import ROOT
from tests.importers import upstream_trees
from tests.importers.reading_back import DONE, days_of, read_back
from tests.importers.upstream_trees import PhantomScan, voxels_of

from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import CohortError, OutputError, ScanError
from lesion_dynamics.importers import isbi2015, mslesseg, msseg2, nnunet, open_ms
from lesion_dynamics.importers.imported_cohort import ImportedCohort
from lesion_dynamics.importers.manifest_folder import write_manifest_folder
from lesion_dynamics.settings.cohort import CohortSettings, Prepared

REAL = Path(os.environ.get("OPEN_MS_DATA", ROOT.parent / "shared" / "open_ms_data"))


def test_isbi2015_preprocessed_with_the_first_rater(tmp_path: Path, scan: PhantomScan) -> None:
    upstream = upstream_trees.isbi2015(tmp_path / "isbi", scan)
    cohort = read_back(isbi2015.read(upstream), tmp_path / "out", upstream)
    assert [one.key for one in cohort.scans] == [
        ("sub-test01", "ses-01"),
        ("sub-training01", "ses-01"),
        ("sub-training01", "ses-02"),
    ]
    assert days_of(cohort) == [0, 0, None]
    test, first, _ = cohort.scans
    assert test.reference_mask is None
    assert set(first.images) == {"FLAIR", "T1w", "PDw"}
    assert "MPRAGE is the T1w, PD the PDw." in isbi2015.read(upstream).dataset.rules
    assert first.images["PDw"].name == "training01_01_pd_pp.nii"
    assert first.images["T1w"].name == "training01_01_mprage_pp.nii"
    assert first.reference_mask is not None
    assert first.reference_mask.name == "training01_01_mask1.nii"
    assert first.prepared == DONE
    assert not (tmp_path / "out" / "masks").exists()


@pytest.mark.parametrize("rater", ["2", "union", "intersection"])
def test_isbi2015_other_choices_of_a_rater(
    tmp_path: Path, scan: PhantomScan, rater: isbi2015.Rater
) -> None:
    upstream = upstream_trees.isbi2015(tmp_path / "isbi", scan)
    cohort = read_back(isbi2015.read(upstream, rater=rater), tmp_path / "out", upstream)
    masks = [
        voxels_of(upstream / f"training/training01/masks/training01_01_mask{n}.nii") for n in (1, 2)
    ]
    expected = {"2": masks[1], "union": masks[0] | masks[1], "intersection": masks[0] & masks[1]}
    mask = cohort.scans[1].reference_mask
    assert mask is not None
    np.testing.assert_array_equal(voxels_of(mask), expected[rater])
    assert len({int(m.sum()) for m in (*masks, expected["union"])}) == 3
    again = read_back(isbi2015.read(upstream), tmp_path / "out", upstream)
    assert not (tmp_path / "out" / "masks").exists()  # of the other choice
    assert again.scans[1].reference_mask != mask


def test_isbi2015_orig_has_no_reference_mask_and_is_not_prepared(
    tmp_path: Path, scan: PhantomScan
) -> None:
    upstream = upstream_trees.isbi2015(tmp_path / "isbi", scan)
    imported = isbi2015.read(upstream / "training", images="orig")
    cohort = read_back(imported, tmp_path / "out", upstream)
    assert [one.reference_mask for one in cohort.scans] == [None, None]
    assert {one.prepared for one in cohort.scans} == {Prepared()}
    assert cohort.scans[0].images["FLAIR"].name == "training01_01_flair.nii.gz"
    assert imported.dataset.session_alignment == "rigid"


def test_msseg2_masks_are_changes_and_no_reference(tmp_path: Path, scan: PhantomScan) -> None:
    upstream = upstream_trees.msseg2(tmp_path / "msseg2", scan)
    imported = msseg2.read(upstream)
    cohort = read_back(imported, tmp_path / "out", upstream)
    assert [one.key for one in cohort.scans] == [
        ("sub-013", "ses-01"),
        ("sub-013", "ses-02"),
        ("sub-016", "ses-01"),
    ]
    assert {one.reference_mask for one in cohort.scans} == {None}
    assert days_of(cohort) == [0, None, 0]
    lines = (tmp_path / "out" / "lesion_changes.tsv").read_text().splitlines()
    assert lines[1].split("\t") == [
        "sub-013", "ses-01", "ses-02", "../msseg2/training/013/ground_truth.nii.gz",
    ]  # fmt: skip
    assert len(lines) == 2  # half a pair has no interval
    (left_out,) = imported.left_out
    assert (left_out.participant_id, left_out.session_id) == ("sub-016", "ses-02")


def test_mslesseg_counts_as_people_do_and_test_cases_have_one_session(
    tmp_path: Path, scan: PhantomScan
) -> None:
    upstream = upstream_trees.mslesseg(tmp_path / "up", scan)
    imported = mslesseg.read(upstream)
    assert [(s.participant_id, s.session_id, s.days) for s in imported.scans] == [
        ("sub-P2", "ses-01", 0),
        ("sub-P2", "ses-02", None),
        ("sub-P10", "ses-01", 0),
        ("sub-P54", "ses-01", 0),
    ]
    cohort = read_back(imported, tmp_path / "out", upstream)
    assert all(one.reference_mask is not None for one in cohort.scans)
    assert set(cohort.scans[0].images) == {"FLAIR", "T1w", "T2w"}
    assert cohort.scans[0].prepared == Prepared(skull_stripped=True, sequences_aligned=True)


def test_two_cases_that_would_be_one_scan_are_refused(tmp_path: Path, scan: PhantomScan) -> None:
    upstream = upstream_trees.nnunet(tmp_path / "raw", scan)
    imported = nnunet.read(upstream, case_id="(?P<participant>MS[0-9]+).*")
    with pytest.raises(CohortError, match="two scans would be sub-MS01 ses-01"):
        write_manifest_folder(imported, tmp_path / "out", upstream=upstream)
    assert not (tmp_path / "out").exists()


def test_open_ms_says_what_its_own_layout_says(tmp_path: Path, scan: PhantomScan) -> None:
    upstream = upstream_trees.open_ms(tmp_path / "open_ms", scan)
    cohort = read_back(open_ms.read(upstream), tmp_path / "out", upstream)
    direct = read_cohort(CohortSettings(name="direct", layout="open_ms", root=upstream))
    assert [one.key for one in cohort.scans] == [one.key for one in direct.scans]
    assert [one.prepared for one in cohort.scans] == [one.prepared for one in direct.scans]
    for mine, theirs in zip(cohort.scans, direct.scans, strict=True):
        assert {n: p.resolve() for n, p in mine.images.items()} == dict(theirs.images)
    assert days_of(cohort) == [0, 0, 317]
    people = cohort.tables.participants
    assert people["age_years"].tolist()[0] == 40
    assert np.isnan(people["age_years"].tolist()[1])
    assert people["sex"].tolist() == ["F", "M"]
    assert "sub-long07" in (tmp_path / "out" / "lesion_changes.tsv").read_text()
    assert not cohort.tables.attacks_recorded


READERS: dict[str, Callable[[Path], ImportedCohort]] = {
    "isbi2015": isbi2015.read,
    "msseg2": msseg2.read,
    "mslesseg": mslesseg.read,
    "nnunet": nnunet.read,
    "open_ms": open_ms.read,
}


@pytest.mark.parametrize("layout", READERS)
def test_another_folder_is_refused_by_its_name(tmp_path: Path, layout: str) -> None:
    with pytest.raises(CohortError, match=r"not (ISBI 2015|MSSEG-2|MSLesSeg|an nnU-Net|the open)"):
        READERS[layout](tmp_path)


@pytest.mark.parametrize("layout", READERS)
def test_the_same_import_gives_the_same_bytes_and_touches_nothing_upstream(
    tmp_path: Path, scan: PhantomScan, layout: str
) -> None:
    build = getattr(upstream_trees, layout)
    upstream = build(tmp_path / "up", scan)
    before = {p: p.read_bytes() for p in upstream.rglob("*") if p.is_file()}
    results = []
    for _ in range(2):
        write_manifest_folder(READERS[layout](upstream), tmp_path / "out", upstream=upstream)
        results.append({p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()})
    assert results[0] == results[1]
    assert {p: p.read_bytes() for p in upstream.rglob("*") if p.is_file()} == before
    assert all(p.suffix not in (".gz", ".nii") for p in results[0])  # no image is copied
    told = json.loads((tmp_path / "out" / "source.json").read_text())
    assert told["Citation"]
    assert told["Licence"]
    assert told["LayoutDocumentedIn"]
    assert str(tmp_path) not in json.dumps(told)


def test_a_folder_that_holds_something_else_is_left_alone(
    tmp_path: Path, scan: PhantomScan
) -> None:
    upstream = upstream_trees.msseg2(tmp_path / "up", scan)
    imported = msseg2.read(upstream)
    with pytest.raises(OutputError, match="upstream's own folder"):
        write_manifest_folder(imported, upstream, upstream=upstream)
    (tmp_path / "mine").mkdir()
    for name in ("README.md", "manifest.tsv"):
        (tmp_path / "mine" / name).write_text("mine\n")
        with pytest.raises(OutputError, match=f"a {name} that no import wrote"):
            write_manifest_folder(imported, tmp_path / "mine", upstream=upstream)
        assert (tmp_path / "mine" / name).read_text() == "mine\n"
    write_manifest_folder(imported, tmp_path / "out", upstream=upstream)
    other = upstream_trees.open_ms(tmp_path / "open", scan)
    with pytest.raises(OutputError, match="holds the import of MSSEG-2"):
        write_manifest_folder(open_ms.read(other), tmp_path / "out", upstream=other)


def test_a_mask_that_is_no_label_map_stops_the_import_before_the_manifest(
    tmp_path: Path, scan: PhantomScan
) -> None:
    upstream = upstream_trees.isbi2015(tmp_path / "isbi", scan)
    mask = upstream / "training/training01/masks/training01_02_mask2.nii"
    upstream_trees.put_voxels(np.full(voxels_of(mask).shape, 0.4), mask, mask)
    with pytest.raises(ScanError, match=r"0\.4 is none"):
        write_manifest_folder(
            isbi2015.read(upstream, rater="union"), tmp_path / "out", upstream=upstream
        )
    assert not (tmp_path / "out" / "manifest.tsv").exists()


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no open MS data at {REAL} (set OPEN_MS_DATA)")
def test_the_real_open_ms_data_import_clean(tmp_path: Path) -> None:
    imported = open_ms.read(REAL)
    cohort = read_back(imported, tmp_path / "out", REAL)
    assert len(cohort.scans) == 5
    assert len(imported.left_out) == 17
    assert days_of(cohort) == [0, 0, 203, 0, 671]
    assert len((tmp_path / "out" / "lesion_changes.tsv").read_text().splitlines()) == 3
    assert cohort.scans[0].reference_mask is not None
