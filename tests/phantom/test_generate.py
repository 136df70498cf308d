"""The files: BIDS, the same bytes always, resumable, with a truth that fits its masks."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import OutputError
from lesion_dynamics.imaging.reading import read_image, read_mask
from lesion_dynamics.phantom import study_generation
from lesion_dynamics.phantom.generate import generate
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.phantom import PhantomSettings


def hashes(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def cohort_settings(phantom: Path, name: str) -> CohortSettings:
    masks = phantom / "training" / "derivatives" / "reference" if name == "training" else None
    return CohortSettings(name=name, layout="bids", root=phantom / name, reference_masks=masks)


def test_both_cohorts_are_read_without_exclusion(phantom: Path) -> None:
    training = read_cohort(cohort_settings(phantom, "training"))
    study = read_cohort(cohort_settings(phantom, "study"))
    assert len(training.scans) == 4
    assert len(study.scans) == 8
    assert not training.exclusions + study.exclusions
    assert all(scan.reference_mask is not None for scan in training.scans)
    assert all(set(scan.images) == {"FLAIR", "T1w"} for scan in (*training.scans, *study.scans))
    assert study.tables.attacks_recorded


def test_images_and_masks_share_a_grid_and_one_scan_is_lesion_free(phantom: Path) -> None:
    volumes = []
    for scan in read_cohort(cohort_settings(phantom, "training")).scans:
        flair, t1w = read_image(scan.images["FLAIR"]), read_image(scan.images["T1w"])
        assert scan.reference_mask is not None
        mask = read_mask(scan.reference_mask)
        assert mask.on_same_grid_as(flair)
        assert t1w.on_same_grid_as(flair)
        assert not (mask.voxels[flair.voxels == 0] > 0).any()
        volumes.append(int(mask.voxels.sum()))
    assert sum(volume == 0 for volume in volumes) == 1


def test_the_truth_table_is_what_the_true_masks_hold(phantom: Path) -> None:
    truth = pd.read_csv(phantom / "truth" / "study" / "lesion_measurements.tsv", sep="\t")
    lesions = pd.read_csv(phantom / "truth" / "study" / "lesions.tsv", sep="\t")
    assert set(truth["model_version"]) == {"truth"}
    assert len(truth) == 8
    for row in truth.itertuples():
        stem = f"{row.participant_id}_{row.session_id}_label-L_mask.nii.gz"
        folder = phantom / "truth" / "study" / row.participant_id / row.session_id / "anat"
        mask = read_mask(folder / stem)
        volume = float(mask.voxels.sum()) * mask.voxel_volume_mm3
        assert row.lesion_volume_mm3 == pytest.approx(volume, abs=1e-3)
        own = lesions[
            (lesions["participant_id"] == row.participant_id)
            & (lesions["session_id"] == row.session_id)
        ]
        assert own["lesion_volume_mm3"].sum() == pytest.approx(volume, abs=0.1)
    assert (truth["lesion_volume_mm3"] == 0).any()


def test_no_mask_lies_in_the_study_cohort(phantom: Path) -> None:
    assert not list((phantom / "study").rglob("*mask*"))


def test_two_processes_give_the_same_bytes_as_one(
    phantom: Path, settings: PhantomSettings, tmp_path: Path
) -> None:
    generate(settings, tmp_path, processes=2)
    assert hashes(tmp_path) == hashes(phantom)


def test_an_interrupted_generation_ends_with_the_same_bytes(
    phantom: Path, settings: PhantomSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "data"
    shutil.copytree(phantom / "training", root / "training")
    written = study_generation.bids_writer.write_reference_mask

    def interrupted(*arguments: object, **named: object) -> None:
        (root / "study" / ".partial-left").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(study_generation.bids_writer, "write_reference_mask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generate(settings, root, processes=1)
    monkeypatch.setattr(study_generation.bids_writer, "write_reference_mask", written)
    generate(settings, root, processes=1)
    assert hashes(root) == hashes(phantom)


def test_a_finished_generation_is_left_untouched(phantom: Path, settings: PhantomSettings) -> None:
    before = {path: path.stat().st_mtime_ns for path in phantom.rglob("*")}
    generate(settings, phantom, processes=1)
    assert {path: path.stat().st_mtime_ns for path in phantom.rglob("*")} == before


def test_another_seed_gives_other_images(phantom: Path, settings: PhantomSettings) -> None:
    with pytest.raises(OutputError, match="other settings"):
        generate(settings.model_copy(update={"seed": 8}), phantom, processes=1)


def test_the_phantom_describes_itself_without_time_or_place(phantom: Path) -> None:
    described = json.loads((phantom / "phantom.json").read_text(encoding="utf-8"))
    assert described["settings"]["seed"] == 7
    for path in phantom.rglob("*.json"):
        assert str(phantom) not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["training", "study"])
def test_the_bids_validator_finds_no_error(phantom: Path, name: str) -> None:
    validator = Path(sys.executable).with_name("bids-validator-deno")
    if not validator.is_file():
        pytest.skip("bids-validator-deno is not installed")
    done = subprocess.run(
        [validator, phantom / name, "--json", "--ignoreWarnings"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert not [issue for issue in issues if issue.get("severity") == "error"]


def test_an_unwritable_folder_is_a_user_error(settings: PhantomSettings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        generate(settings, tmp_path / "file", processes=1)


def test_intensities_are_whole_numbers_of_two_bytes(phantom: Path) -> None:
    scan = read_cohort(cohort_settings(phantom, "study")).scans[0]
    voxels = read_image(scan.images["FLAIR"]).voxels
    assert (voxels == np.rint(voxels)).all()
    assert voxels.max() > 100
