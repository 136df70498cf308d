"""The root scripts over damaged cohorts, as a user starts them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.commands.command_line import run
from tests.malformed.entry import flair
from tests.malformed.file_entries import bomb_for_an_image, cut, pipe_in_its_place
from tests.malformed.good_cohort import (
    DAMAGED,
    SCANS,
    image,
    voxels_of,
    write_cohort,
    write_model_version,
)
from tests.malformed.layout_entries import LABELS, MASKS
from tests.malformed.table_entries import another_participant

from lesion_dynamics.longitudinal.measurements import read_measurements


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_cohort(tmp_path / "cohort")
    return tmp_path


def of_cohort(place: Path) -> list[str]:
    return ["cohort=study", f"cohort.root={place / 'cohort'}", "cohort.truth=null"]


def infer(place: Path) -> tuple[int, str, bool]:
    write_model_version(place / "model")
    return run(
        "infer.py",
        *of_cohort(place),
        "cohort.prepared.bias_corrected=true",
        f"model_version={place / 'model'}",
        f"output={place / 'out'}",
        f"tracking.folder={place / 'out/tracking'}",
        "executor.processes=1",
        cwd=place,
    )


@pytest.mark.slow
def test_three_faults_and_the_good_scan_is_done(place: Path) -> None:
    """A bomb, a pipe and half a file: a line each, and no number is lost besides theirs."""
    third = ("sub-b01", "ses-02")
    folder = place / "cohort/sub-b01/ses-02/anat"
    shutil.copytree(place / "cohort/sub-b01/ses-01/anat", folder)
    for path in folder.iterdir():
        path.rename(folder / path.name.replace("ses-01", "ses-02"))
    with (place / "cohort/sub-b01/sub-b01_sessions.tsv").open("a") as table:
        table.write("ses-02\t700\n")
    bomb_for_an_image(place / "cohort")
    pipe_in_its_place(folder / "sub-b01_ses-02_FLAIR.nii.gz")
    half = place / "cohort/sub-a01/ses-01/anat/sub-a01_ses-01_FLAIR.nii.gz"
    cut(half, 0.5)
    status, stderr, _ = infer(place)
    assert status == 2
    lines = stderr.splitlines()
    for key in (SCANS[0], DAMAGED, third):
        (line,) = [line for line in lines if f"{key[0]}_{key[1]}_FLAIR.nii.gz" in line]
        assert line.startswith("left out: ")
    assert "Traceback" not in stderr
    assert lines[-1].startswith("sub-a01 ses-02: ") or lines[-1].startswith("sub-b01 ses-02: ")
    assert "3 scan(s) failed" in lines[-1]
    (written,) = (place / "out").rglob("lesion_measurements.tsv")
    table = read_measurements(written)
    measured = table[table["status"] == "measured"]
    assert measured[["participant_id", "session_id"]].to_numpy().tolist() == [["sub-b01", "ses-01"]]
    assert len(table) == 4
    exclusions = json.loads((written.parent / "exclusions.json").read_text())
    assert len(exclusions) == 3
    assert all(one["remedy"] for one in exclusions)


def one_line(status: int, stderr: str, torch_loaded: bool, *said: str) -> None:
    assert status == 2, stderr
    assert len(stderr.splitlines()) == 1, stderr
    for words in said:
        assert words in stderr
    assert not torch_loaded


def test_inference_refuses_an_id_that_leaves_the_folder(place: Path) -> None:
    another_participant("sub-../../x")(place / "cohort")
    one_line(*infer(place), "participants.tsv", "'sub-../../x' is not a BIDS id", "Rename it")
    assert not [path for path in (place / "out").rglob("*") if path.is_file()]


def test_the_analysis_refuses_a_table_in_another_encoding(place: Path) -> None:
    people = place / "cohort/participants.tsv"
    people.write_bytes(people.read_text().encode("utf-16"))
    answer = run("analyze.py", *of_cohort(place), f"output={place / 'out'}", cwd=place)
    one_line(*answer, "participants.tsv", "UTF-16", "UTF-8")


@pytest.mark.parametrize("fault", ["labels", "image"])
def test_training_refuses_what_it_would_learn_from(place: Path, fault: str) -> None:
    masks = place / "cohort/derivatives/reference"
    for number, (who, session) in enumerate(SCANS):
        path = masks / who / session / "anat" / f"{who}_{session}_label-L_mask.nii.gz"
        path.parent.mkdir(parents=True)
        bright = voxels_of(number, "FLAIR") > 500
        image(bright.astype("uint8")).to_filename(path)
    if fault == "labels":
        image(LABELS).to_filename(masks / "sub-a01/ses-02/anat/sub-a01_ses-02_label-L_mask.nii.gz")
        said = ("sub-a01_ses-02_label-L_mask.nii.gz", "one positive value", "binary mask")
    else:
        cut(flair(place / "cohort"), 0.5)
        said = ("sub-a01_ses-02_FLAIR.nii.gz", "ends before its image", "Mend or remove")
    answer = run(
        "train.py",
        *of_cohort(place),
        f"cohort.reference_masks={MASKS['reference_masks'].format(root=place / 'cohort')}",
        f"output={place / 'out'}",
        f"runs={place / 'runs'}",
        f"tracking.folder={place / 'tracking'}",
        cwd=place,
    )
    one_line(*answer, *said)
