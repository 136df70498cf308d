"""Scan pages of a small cohort: what is on them, what is made anew, what is refused."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from tests.in_this_process import in_this_process
from tests.workflows.segmented_cohort import (
    APPEARS,
    GOES,
    HOSTILE,
    STAYS,
    VOXEL_MM3,
    SegmentedCohort,
    ball,
)

from lesion_dynamics.commands.__main__ import main
from lesion_dynamics.errors import CohortError, ConfigurationError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.writing import write_mask
from lesion_dynamics.report.scan_pages import text
from lesion_dynamics.settings.scan_pages import ScanPagesSettings
from lesion_dynamics.workflows.scan_pages import run as pages
from lesion_dynamics.workflows.scan_pages.run import ScanPages
from lesion_dynamics.workflows.scan_pages.views import BY_OVERLAP, FIRST, NOT_ALIGNED, TRACKED


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> SegmentedCohort:
    """Never write into it."""
    return SegmentedCohort(tmp_path_factory.mktemp("segmented") / "all").write()


@pytest.fixture(scope="module")
def made(shared: SegmentedCohort) -> ScanPages:
    """Pages of both versions, by processes as a user's are."""
    return pages.run(shared.settings(f"compare=[{shared.derivatives(2)}]"))


@pytest.fixture
def cohort(tmp_path: Path) -> SegmentedCohort:
    """One to change."""
    return SegmentedCohort(tmp_path / "own").write()


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch) -> Callable[[ScanPagesSettings], ScanPages]:
    """The pages made in this process."""

    monkeypatch.setattr(pages, "in_processes", in_this_process)
    return pages.run


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(r'id="page-data">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def volume_in(content: str) -> Any:
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(content)))


def labels_at(data: dict[str, Any], session: int, kind: str, version: int = 1) -> dict[str, float]:
    """Values of an overlay at the centres of the three balls, read through its own affine."""
    layer = data["sessions"][session]["layers"][f"lesion-segmenter/{version}"]
    image = volume_in(layer[kind])
    found = {}
    for name, centre in {"stays": STAYS, "appears": APPEARS, "goes": GOES}.items():
        world = np.array(centre) * 3.0 + np.array([-60, -72, -60])
        index = np.rint(np.linalg.inv(image.affine) @ [*world, 1])[:3].astype(int)
        found[name] = float(image.get_fdata()[tuple(index)])
    return found


def test_every_session_and_version_is_on_the_page_where_it_lies(made: ScanPages) -> None:
    assert (made.made, made.kept, made.failed) == (2, 0, ())
    data = data_of(made.index.with_name("sub-ms01.html"))
    assert data["versions"] == ["lesion-segmenter/1", "lesion-segmenter/2"]
    assert labels_at(data, 0, "mask") == {"stays": 1, "appears": 0, "goes": 1}
    assert labels_at(data, 1, "mask") == {"stays": 1, "appears": 1, "goes": 0}
    assert labels_at(data, 1, "mask", version=2) == {"stays": 1, "appears": 0, "goes": 0}
    assert labels_at(data, 1, "probability")["stays"] == pytest.approx(0.9, abs=1 / 255)
    assert labels_at(data, 1, "change") == {"stays": 1, "appears": 2, "goes": 5}
    assert labels_at(data, 2, "change") == {"stays": 1, "appears": 1, "goes": 0}
    notes = [s["layers"]["lesion-segmenter/1"]["changeNote"] for s in data["sessions"]]
    assert notes == [FIRST, BY_OVERLAP, BY_OVERLAP]
    # The first view is a voxel of a lesion.
    mask = volume_in(data["sessions"][1]["layers"]["lesion-segmenter/1"]["mask"]).get_fdata()
    assert data["shape"] == list(mask.shape)
    together = mask + volume_in(data["sessions"][0]["layers"]["lesion-segmenter/1"]["mask"]).dataobj
    assert together[tuple(data["start"])] > 0


def test_pages_name_neighbours_attacks_volumes_and_flags(made: ScanPages) -> None:
    first = made.index.with_name("sub-ms01.html").read_text(encoding="utf-8")
    second = made.index.with_name("sub-nmo01.html").read_text(encoding="utf-8")
    assert 'rel="next" href="sub-nmo01.html"' in first
    assert 'rel="prev" href="sub-ms01.html"' in second
    assert "Attacks on days 550." in first
    assert "No attack is recorded." in second
    assert f"{66 * VOXEL_MM3:,.0f} mm³, 2 lesions" in first
    assert "1,500,000" in first  # brain volume
    assert (
        "not tracked"
        in data_of(made.index.with_name("sub-ms01.html"))["sessions"][1]["layers"][
            "lesion-segmenter/1"
        ]["changeNote"]
    )


def test_text_of_tables_is_shown_and_never_markup(made: ScanPages) -> None:
    for name in ("sub-ms01.html", "sub-nmo01.html", "index.html"):
        page = made.index.with_name(name).read_text(encoding="utf-8")
        assert HOSTILE not in page
    escaped = "&lt;script&gt;document.title=&#x27;hacked&#x27;&lt;/script&gt;"
    assert page.count(escaped) == 1  # the flag
    assert made.index.with_name("sub-ms01.html").read_text().count(escaped) == 1  # the scanner


def test_the_index_holds_changes_and_the_disagreement_of_versions(made: ScanPages) -> None:
    page = made.index.read_text(encoding="utf-8")
    apart = float(ball(APPEARS).sum()) * VOXEL_MM3
    card = page[page.index('data-name="sub-ms01"') :]
    assert card.startswith(
        'data-name="sub-ms01" data-diagnosis="MS" data-flags="0" data-change="0.0" '
        f'data-disagreement="{apart:.1f}"'
    )
    assert "(Dice 0.67)" in card  # 33 voxels of 66 and 33: 2 x 33 / 99
    for path in re.findall(r'src="(thumbnails/[^"]+)"', page):
        assert (made.index.parent / path).is_file()
    assert len(list((made.index.parent / "thumbnails").iterdir())) == 6


def test_only_what_changed_is_made_anew(
    cohort: SegmentedCohort, run_here: Callable[[ScanPagesSettings], ScanPages]
) -> None:
    first = run_here(cohort.settings())
    before = {p.name: p.read_bytes() for p in first.index.parent.iterdir() if p.is_file()}
    again = run_here(cohort.settings())
    assert (again.made, again.kept) == (0, 2)
    assert {p.name: p.read_bytes() for p in first.index.parent.iterdir() if p.is_file()} == before
    outputs = cohort.outputs("sub-ms01", "ses-02")
    write_mask(outputs.mask, Image(ball(GOES).astype(np.uint8), nib.load(outputs.mask).affine))
    assert (run_here(cohort.settings()).made, run_here(cohort.settings()).made) == (1, 0)
    (first.index.parent / "thumbnails/sub-nmo01_ses-01.webp").write_bytes(b"damaged")
    assert run_here(cohort.settings()).made == 1
    assert run_here(cohort.settings("finest_mm=4")).made == 2
    os.utime(cohort.flair("sub-ms01", "ses-01"))
    assert run_here(cohort.settings("finest_mm=4")).made == 0


def test_a_page_is_no_larger_than_it_may_be(
    cohort: SegmentedCohort, run_here: Callable[[ScanPagesSettings], ScanPages]
) -> None:
    noise = np.random.default_rng(0).normal(100, 15, (40, 48, 40)).astype(np.float32)
    for session in ("ses-01", "ses-02", "ses-03"):
        path = cohort.flair("sub-ms01", session)
        nib.save(nib.Nifti1Image(noise, nib.load(path).affine), path)
    page = run_here(cohort.settings()).index.with_name("sub-ms01.html")
    assert page.stat().st_size > 250_000
    assert data_of(page)["spacing"] == 3.0
    small = run_here(cohort.settings("largest_mb=0.2")).index.with_name("sub-ms01.html")
    assert 100_000 < small.stat().st_size <= 200_000
    assert 3.0 < data_of(small)["spacing"] < 6.0


def test_tracked_changes_are_shown_where_they_were_written(
    cohort: SegmentedCohort, run_here: Callable[[ScanPagesSettings], ScanPages], tmp_path: Path
) -> None:
    outputs = cohort.outputs("sub-ms01", "ses-02")
    path = outputs.mask.with_name("sub-ms01_ses-02_space-participant_desc-change_dseg.nii.gz")
    labels = 3 * ball(STAYS).astype(np.uint8) + 2 * ball(APPEARS) + 5 * ball(GOES)
    nib.save(nib.Nifti1Image(labels.astype(np.uint8), nib.load(outputs.mask).affine), path)
    intervals = pd.DataFrame(
        {"participant_id": ["sub-ms01"], "session_id": ["ses-02"], "new_count": ["<i>7</i>"]}
    )
    intervals.to_csv(cohort.derivatives(1) / "lesion_intervals.tsv", sep="\t", index=False)
    page = run_here(cohort.settings(f"output={tmp_path / 'out'}")).index.with_name("sub-ms01.html")
    assert page.parent == tmp_path / "out"
    data = data_of(page)
    assert labels_at(data, 1, "change") == {"stays": 3, "appears": 2, "goes": 5}
    assert data["sessions"][1]["layers"]["lesion-segmenter/1"]["changeNote"] == TRACKED
    written = page.read_text(encoding="utf-8")
    assert "<th scope='col'>new count</th>" in written
    assert "<td>&lt;i&gt;7&lt;/i&gt;</td>" in written


def test_sessions_that_do_not_lie_on_each_other_show_no_change(
    cohort: SegmentedCohort, run_here: Callable[[ScanPagesSettings], ScanPages]
) -> None:
    path = cohort.flair("sub-ms01", "ses-02")
    stored = nib.load(path)
    moved = np.roll(stored.get_fdata(), 5, axis=1).astype(np.float32)
    nib.save(nib.Nifti1Image(moved, stored.affine), path)
    data = data_of(run_here(cohort.settings()).index.with_name("sub-ms01.html"))
    layer = data["sessions"][1]["layers"]["lesion-segmenter/1"]
    assert (layer["change"], layer["changeNote"]) == ("", NOT_ALIGNED)


def test_the_transform_of_a_sidecar_moves_a_session(
    cohort: SegmentedCohort, run_here: Callable[[ScanPagesSettings], ScanPages]
) -> None:
    shift = np.eye(4)
    shift[1, 3] = 15.0
    sidecar = cohort.outputs("sub-ms01", "ses-02").sidecar
    said = {"Preprocessing": {"ParticipantSpaceFromFLAIR": shift.tolist()}}
    sidecar.write_text(json.dumps(said))
    data = data_of(run_here(cohort.settings()).index.with_name("sub-ms01.html"))
    volumes = [
        volume_in(data["sessions"][i]["layers"]["lesion-segmenter/1"]["mask"]) for i in (0, 1)
    ]
    stays = [np.argwhere(v.get_fdata()[: v.shape[0] // 2] > 0) for v in volumes]
    low_x = [places[places[:, 0] == places[:, 0].min()].mean(axis=0) for places in stays]
    np.testing.assert_allclose((low_x[1] - low_x[0]) * data["spacing"], [0, 15, 0], atol=1e-6)


def test_a_scan_that_cannot_be_shown_leaves_the_others(
    cohort: SegmentedCohort, run_here: Callable[[ScanPagesSettings], ScanPages]
) -> None:
    small = Image(np.zeros((4, 4, 4), dtype=np.uint8), np.eye(4))
    write_mask(cohort.outputs("sub-ms01", "ses-03").mask, small)
    for session in ("ses-01", "ses-02", "ses-03"):
        write_mask(cohort.outputs("sub-nmo01", session).mask, small)
    result = run_here(cohort.settings())
    assert [reason.partition(":")[0] for reason in result.failed] == ["sub-nmo01"]
    shown = result.index.with_name("sub-ms01.html")
    assert [one["id"] for one in data_of(shown)["sessions"]] == ["ses-01", "ses-02"]
    assert "Not shown: ses-03" in shown.read_text(encoding="utf-8")
    assert "is not on the grid of its FLAIR" in result.index.read_text(encoding="utf-8")
    assert "No page could be made" in result.index.with_name("sub-nmo01.html").read_text()


def test_pages_of_participants_who_left_are_removed(
    cohort: SegmentedCohort, run_here: Callable[[ScanPagesSettings], ScanPages]
) -> None:
    folder = run_here(cohort.settings()).index.parent
    (folder / "sub-notes.txt").write_text("somebody's own")
    tables = (cohort.data / "participants.tsv", cohort.outputs_table(1))
    for path in tables:
        table = pd.read_csv(path, sep="\t")
        table[table["participant_id"] != "sub-nmo01"].to_csv(path, sep="\t", index=False)
    shutil.rmtree(cohort.data / "sub-nmo01")
    run_here(cohort.settings())
    left = {path.name for path in folder.rglob("sub-*")}
    assert {name.partition("_")[0].partition(".")[0] for name in left} == {"sub-ms01", "sub-notes"}


def test_quality_pictures_are_linked_where_they_have_been_drawn(
    cohort: SegmentedCohort, run_here: Callable[[ScanPagesSettings], ScanPages], tmp_path: Path
) -> None:
    picture = cohort.derivatives(1) / "quality" / "sub-ms01_ses-01_quality.png"
    picture.parent.mkdir()
    picture.write_bytes(b"png")
    page = run_here(cohort.settings()).index.with_name("sub-ms01.html")
    links = re.findall(r'href="([^"]+_quality.png)"', page.read_text(encoding="utf-8"))
    assert [(page.parent / link).resolve() for link in links] == [picture.resolve()]


def test_what_cannot_be_shown_is_refused(
    shared: SegmentedCohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CohortError, match=r"there is no lesion_measurements\.tsv here"):
        pages.run(shared.settings(f"compare=[{tmp_path}]"))
    with pytest.raises(ConfigurationError, match=r"lesion-segmenter/1 is in .* too"):
        pages.run(shared.settings(f"compare=[{shared.derivatives(1)}]"))
    status = main(
        ["scan-pages", "cohort=bids", f"cohort.root={shared.data}", f"derivatives={tmp_path}"]
    )
    assert status == 2
    assert "there is no lesion_measurements.tsv here" in capsys.readouterr().err


def test_the_viewer_is_the_published_one_and_its_licence_goes_with_it(made: ScanPages) -> None:
    import hashlib

    licences = text.asset("niivue-licences.txt")
    digest = hashlib.sha256(text.asset_bytes("niivue.umd.js")).hexdigest()
    assert f"SHA-256 {digest}" in licences
    beside = made.index.with_name("niivue.js").read_text(encoding="utf-8")
    assert beside.startswith("/*!\n" + licences[:200])
    assert beside.endswith(text.asset("niivue.umd.js"))
