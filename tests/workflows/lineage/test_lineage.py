"""From a number in a result back to the training, and what does not match any more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.commands.test_console_command import lesion_dynamics
from tests.workflows.analysis_cohort import make_study, settings
from tests.workflows.releases.tiny_version import TRAINING, make_version

from lesion_dynamics.atomic_files import hash_of_content, hash_of_file
from lesion_dynamics.model_version import WEIGHTS_FILE, ModelVersion
from lesion_dynamics.records import lineage_file
from lesion_dynamics.records.lineage_file import LINEAGE_FILE, LineageError, read_lineage
from lesion_dynamics.workflows import analysis
from lesion_dynamics.workflows.lineage.chain import Step, chain
from lesion_dynamics.workflows.lineage.told import as_text
from lesion_dynamics.workflows.lineage.written import write_inference_lineage

INPUTS = {"sub-ms0 ses-01": {"files": {"FLAIR": "f" * 64}}}
MASK = "sub-ms0/ses-01/anat/sub-ms0_ses-01_label-L_mask"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two versions, each with its lineage, one mask, and its results."""
    root = make_study(tmp_path_factory.mktemp("lineage"))
    for number in (1, 2):
        version = make_version(root / f"v{number}", name="segmenter", number=number, seed=number)
        write(root, version)
    mask = root / "derivatives" / "segmenter-v1" / f"{MASK}.nii.gz"
    mask.parent.mkdir(parents=True)
    mask.write_bytes(b"voxels")
    sidecar = {
        "ModelVersion": "segmenter/1", "WeightsSHA256": "w" * 64,
        "InputHashes": {"files": {"FLAIR": "f" * 64}}, "Software": "lesion-dynamics 0.1.0",
        "OperatingPoint": {"probability_threshold": 0.5},
        "OutputHashes": {mask.name: hash_of_file(mask)},
    }  # fmt: skip
    mask.with_name(f"{Path(MASK).name}.json").write_text(json.dumps(sidecar), encoding="utf-8")
    analysis.run(settings(root))
    return root


def write(root: Path, version: ModelVersion) -> Path:
    folder = root / "derivatives" / version.folder_name
    write_inference_lineage(folder, version, input_hashes=INPUTS, settings={"mni": "none"})
    return folder


def kinds(steps: list[Step]) -> list[str]:
    return [step["step"] for step in steps]


def test_a_table_of_the_study_leads_back_to_the_trainings(place: Path) -> None:
    table = place / "results" / "statistics.tsv"
    steps = chain(table)
    assert kinds(steps) == [
        "file", "analysis", "inference", "inference",
        "model version", "training", "model version", "training",
    ]  # fmt: skip
    assert steps[0]["sha256"] == hash_of_file(table)
    assert steps[0]["state"] == "as recorded"
    measured = place / "derivatives" / "segmenter-v2" / "lesion_measurements.tsv"
    assert hash_of_file(measured) in steps[1]["inputs_sha256"].values()
    assert steps[1]["machine"]["python"]
    assert len(steps[1]["source_sha256"]) == 64
    assert steps[2]["scans_sha256"] == hash_of_content(INPUTS)
    version, training = steps[6], steps[7]
    assert version["label"] == "segmenter/2"
    assert version["run_id"] == "r" * 32
    assert version["weights_sha256"] == hash_of_file(place / "v2" / WEIGHTS_FILE)
    assert training["data"] == TRAINING["data"]
    assert training["git"] == TRAINING["git"]
    assert training["configuration_sha256"] == hash_of_content(TRAINING["configuration"])
    assert training["machine"] == TRAINING["machine"]


def test_a_picture_in_the_results_and_a_table_below_them_have_the_same_chain(place: Path) -> None:
    for name in ("trajectories.png", "paper/results.csv"):
        steps = chain(place / "results" / name)
        assert (steps[0]["state"], steps[1]["step"]) == ("as recorded", "analysis")


def test_a_mask_leads_to_its_inputs_and_its_model_version(place: Path) -> None:
    steps = chain(place / "derivatives" / "segmenter-v1" / f"{MASK}.nii.gz")
    assert kinds(steps) == ["file", "scan", "inference", "model version", "training"]
    assert steps[0]["state"] == "as recorded"
    assert steps[1]["inputs_sha256"] == {"FLAIR": "f" * 64}
    text = as_text(steps)
    assert f"segmented by segmenter/1, weights {'w' * 12}" in text
    assert f"from FLAIR {'f' * 12}" in text
    assert f"run {'r' * 32}" in text
    assert f"commit {'c' * 40}" in text
    assert f"data {'d' * 32}.dir" in text


def test_a_fold_of_a_cross_validation_says_which_it_is() -> None:
    step = {"step": "training", "cohort": "mine", "configuration_sha256": "a" * 64}
    assert "fold" not in as_text([step])
    assert "  fold 2 of 3 validated\n" in as_text([{**step, "fold": "2 of 3"}])


def test_a_file_that_was_changed_afterwards_is_said(place: Path, tmp_path: Path) -> None:
    table = place / "results" / "verdicts.tsv"
    before = table.read_bytes()
    table.write_bytes(before.replace(b"kept", b"lost"))
    try:
        assert chain(table)[0]["state"] == "changed since"
    finally:
        table.write_bytes(before)
    stranger = place / "results" / "notes.txt"
    stranger.write_text("mine", encoding="utf-8")
    assert chain(stranger)[0]["state"] == "not recorded"
    stranger.unlink()


def test_the_folder_of_a_model_version_is_told_too(place: Path) -> None:
    assert kinds(chain(place / "v1")) == ["model version", "training"]
    assert kinds(chain(place / "v1" / "model_card.md")) == ["model version", "training"]


def test_what_has_no_origin_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "table.tsv").write_text("a\n", encoding="utf-8")
    with pytest.raises(LineageError, match=r"no lineage\.json here or above it"):
        chain(tmp_path / "table.tsv")
    with pytest.raises(LineageError, match="there is no such file"):
        chain(tmp_path / "none.tsv")
    (tmp_path / LINEAGE_FILE).write_text('{"format": 9}', encoding="utf-8")
    with pytest.raises(LineageError, match="this lineage cannot be read"):
        chain(tmp_path / "table.tsv")


def test_an_unchanged_record_keeps_its_bytes_and_a_changed_one_does_not(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_study(tmp_path)
    folder = write(root, make_version(root / "v1", name="segmenter"))
    first = (folder / LINEAGE_FILE).read_bytes()
    later: dict[str, Any] = {"commit": "e" * 40, "modified": True}
    monkeypatch.setattr(lineage_file, "git_state", lambda _folder: later)
    write(root, make_version(root / "v1", name="segmenter"))
    assert (folder / LINEAGE_FILE).read_bytes() == first
    write(root, make_version(root / "v1", name="segmenter", seed=5))
    said = read_lineage(folder)
    assert said is not None
    assert said["made_on"]["git"] == later
    assert str(tmp_path) not in (folder / LINEAGE_FILE).read_text(encoding="utf-8")
    assert str(place) not in (place / "results" / LINEAGE_FILE).read_text(encoding="utf-8")


def test_the_command_takes_a_bare_path_and_speaks_json(place: Path, tmp_path: Path) -> None:
    odd = place / "derivatives" / "segmenter-v1" / "it's a = copy.tsv"
    odd.write_text("x", encoding="utf-8")
    done = lesion_dynamics("lineage", str(odd), "as_json=true", cwd=tmp_path)
    odd.unlink()
    assert done.returncode == 0, done.stderr
    assert kinds(json.loads(done.stdout)) == ["file", "inference", "model version", "training"]
