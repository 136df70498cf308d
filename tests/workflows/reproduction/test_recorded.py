"""When a lineage can be followed, and the reason where it cannot."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.workflows.releases.tiny_version import TRAINING, make_version

from lesion_dynamics.atomic_files import hash_of_file, write_json
from lesion_dynamics.errors import OutputError, UserError
from lesion_dynamics.model_version import WEIGHTS_FILE, ModelVersion, load_model_version
from lesion_dynamics.records.lineage import machine
from lesion_dynamics.records.lineage_file import LINEAGE_FILE
from lesion_dynamics.settings.reproduction import ReproduceSettings
from lesion_dynamics.settings.tracking import TrackingSettings
from lesion_dynamics.workflows.reproduction import rerun, run
from lesion_dynamics.workflows.reproduction.clone import bring_to, clone
from lesion_dynamics.workflows.reproduction.compared import measured_pairs, weights_pairs
from lesion_dynamics.workflows.reproduction.recorded import (
    Recorded,
    ReproductionError,
    Step,
    recorded,
)

DATA = {
    "dvc_md5": "d" * 32 + ".dir", "path": "data", "state": "same", "file": "data.dvc",
    "root": "data/training", "reference_masks": "data/training/derivatives/reference",
}  # fmt: skip
GOOD: Mapping[str, Any] = {
    **TRAINING,
    "data": DATA,
    "machine": machine(),
    "configuration": {"seed": 7, "cohort": {"name": "training"}, "split_from": None},
}


def settings(folder: Path, **more: Any) -> ReproduceSettings:
    own = {"model_version": "x", "into": folder / "again", "repository": str(folder),
           "derivatives": None, "results": None, **more}  # fmt: skip
    tracking = TrackingSettings(folder=folder / "tracking", uri=None, experiment="t")
    return ReproduceSettings(tracking=tracking, **own)


def test_a_whole_lineage_gives_the_commit_the_data_and_what_was_told(tmp_path: Path) -> None:
    version = make_version(tmp_path / "v", training=GOOD)
    step = recorded(version, settings(tmp_path)).train
    assert (step.commit, step.dvc_file, step.dvc_md5) == ("c" * 40, "data.dvc", DATA["dvc_md5"])
    assert step.configuration["seed"] == 7
    assert step.configuration["cohort"] == {
        "name": "training", "root": DATA["root"], "reference_masks": DATA["reference_masks"],
        "truth": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"git": {"commit": "c" * 40, "modified": True}}, "changes that were not committed"),
        ({"git": {"commit": None, "modified": None}}, "no commit is recorded"),
        ({"data": {**DATA, "dvc_md5": None}}, "no DVC hash of its data"),
        ({"data": {**DATA, "state": "modified"}}, r"not those that DVC pinned \(modified\)"),
        ({"data": {**DATA, "root": None}}, "names no cohort within the repository"),
        ({"data": {**DATA, "file": None}}, "names no pin within the repository"),
        ({"configuration": None}, "train.py did not make it"),
        ({"machine": {**machine(), "torch": "1.0"}}, "another kind of machine: torch 1.0, here"),
        ({"machine": {**machine(), "instructions": ["amx_of_2040"]}}, "no amx_of_2040 here"),
        ({"machine": {**machine(), "maker": "Acorn"}}, "maker Acorn, here"),
    ],
)
def test_a_broken_lineage_is_refused_with_the_reason(
    changed: Mapping[str, Any], reason: str, tmp_path: Path
) -> None:
    version = make_version(tmp_path / "v", training={**GOOD, **changed})
    with pytest.raises(ReproductionError, match=reason) as refused:
        recorded(version, settings(tmp_path))
    assert "\n" not in str(refused.value)


def test_an_inference_from_changed_code_or_of_another_cohort_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    version = make_version(tmp_path / "v", training=GOOD)
    derivatives = Path("derivatives/study")
    folder = derivatives / version.folder_name
    folder.mkdir(parents=True)
    own = settings(tmp_path, derivatives=derivatives)
    with pytest.raises(ReproductionError, match=r"there is no lineage\.json"):
        recorded(version, own)
    cohort = {"name": "study", "root": "data/study"}
    record: dict[str, Any] = {
        "settings": {"configuration": {"cohort": cohort}},
        "model_versions": {version.label: {}},
    }
    made_on = {part: GOOD[part] for part in ("git", "data", "machine")}

    def write() -> None:
        write_json(folder / LINEAGE_FILE, {"format": 1, "record": record, "made_on": made_on})

    write()
    found = recorded(version, own)
    assert found.infer is not None
    assert found.infer.configuration["cohort"]["root"] == "data/study"
    assert found.derivatives == derivatives
    cohort["root"] = "elsewhere/study"
    write()
    with pytest.raises(ReproductionError, match=r"not part of data, which data\.dvc pins"):
        recorded(version, own)
    cohort["root"], made_on["git"] = "data/study", {"commit": "c" * 40, "modified": True}
    write()
    with pytest.raises(ReproductionError, match="infer: its code had changes"):
        recorded(version, own)


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str]:
    """A repository with one commit that pins other data."""
    place = tmp_path / "repository"
    place.mkdir()
    (place / "data.dvc").write_text("outs:\n- md5: other.dir\n  path: data\n", encoding="utf-8")

    def git(*words: str) -> str:
        who = ["-c", "user.name=n", "-c", "user.email=n@example.org"]
        done = subprocess.run(
            ["git", *who, *words], cwd=place, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "--quiet")
    git("add", "data.dvc")
    git("commit", "--quiet", "-m", "x")
    return place, git("rev-parse", "HEAD")


def test_a_commit_or_data_that_the_repository_does_not_have_are_refused(
    repository: tuple[Path, str], tmp_path: Path
) -> None:
    place, commit = repository
    with pytest.raises(ReproductionError, match="git cannot clone it"):
        clone(str(tmp_path / "nowhere"), tmp_path / "clone")
    clone(str(place), tmp_path / "clone")
    step = Step("train", "0" * 40, "data.dvc", "wanted.dir", {}, {})
    with pytest.raises(ReproductionError, match="does not hold commit 000000000000"):
        bring_to(tmp_path / "clone", step, cache=None)
    step = replace(step, commit=commit)
    with pytest.raises(ReproductionError, match=r"pins other data \(other\.dir\).*wanted\.dir"):
        bring_to(tmp_path / "clone", step, cache=None)
    assert (tmp_path / "clone" / "data.dvc").is_file()


def test_a_folder_that_holds_something_else_is_not_written_into(tmp_path: Path) -> None:
    version = make_version(tmp_path / "v", training=GOOD)
    into = tmp_path / "into"
    into.mkdir()
    run._claim(into, version)
    run._claim(into, version)  # the same reproduction goes on
    with pytest.raises(OutputError, match="holds something else"):
        run._claim(into, make_version(tmp_path / "w", seed=2, training=GOOD))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="holds something else"):
        run._claim(tmp_path / "full", version)


def test_other_bytes_are_seen_and_what_was_not_made_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    version = make_version(tmp_path / "v", training=GOOD)
    other = make_version(tmp_path / "w", seed=2, training=GOOD)
    plan = recorded(version, settings(tmp_path))
    same, different = (weights_pairs(plan, tmp_path / name) for name in ("v", "w"))
    assert [pair.same for pair in same] == [True, True]
    assert [pair.same for pair in different] == [True, False]
    assert different[1].second == hash_of_file(other.weights.parent / WEIGHTS_FILE)
    there, here = Path("derivatives/study") / version.folder_name, tmp_path / "again"
    mask = "sub-1/ses-01/anat/sub-1_ses-01_label-L_mask.nii.gz"
    for folder in (there, here):
        (folder / mask).parent.mkdir(parents=True)
        (folder / "lesion_measurements.tsv").write_text("a\n", encoding="utf-8")
    (there / "lesion_intervals.tsv").write_text("made by another command\n", encoding="utf-8")
    (there / mask).write_bytes(b"voxels")
    measured = Recorded(version, plan.train, derivatives=Path("derivatives/study"))
    pairs = measured_pairs(measured, here)
    assert [(one.kind, one.same, one.second is None) for one in pairs] == [
        ("volumes", True, False), ("mask", False, True),
    ]  # fmt: skip


def test_what_the_study_took_from_elsewhere_must_still_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    version = make_version(tmp_path / "v", training=GOOD)
    told: list[Step] = []
    monkeypatch.setattr(rerun, "run_script", lambda _place, step, _words: told.append(step))
    table = Path("derivatives/study/other-v1/lesion_measurements.tsv")
    table.parent.mkdir(parents=True)
    table.write_text("b\n", encoding="utf-8")
    place = tmp_path / "into" / "clone"
    place.mkdir(parents=True)
    step = Step("analyze", "c", "data.dvc", "d", {"output": "results/study"}, {})
    inputs = {str(table): hash_of_file(table), "cohort sessions": "0" * 64}
    plan = Recorded(
        version, step, derivatives=Path("derivatives/study"), results=Path("results/study"),
        inputs=inputs,
    )  # fmt: skip
    assert rerun.analyze(place, plan, step) == [str(table)]
    assert (place / table).read_bytes() == table.read_bytes()
    assert told == [step]
    words = json.dumps(rerun._as_arguments(place, step, step.configuration))
    assert str(place.parent / "configuration") in words
    (place / table).unlink()
    table.write_text("c\n", encoding="utf-8")
    with pytest.raises(UserError, match="is gone, or not what it was"):
        rerun.analyze(place, plan, step)


def test_what_a_training_began_from_is_carried_over_with_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_version(tmp_path / "v1", name="segmenter", number=1)
    asked: list[str] = []

    def found(reference: str, _tracking: TrackingSettings) -> ModelVersion:
        asked.append(reference)
        return first

    monkeypatch.setattr(run, "resolve", found)
    weights = first.manifest.weights_sha256
    told = {**GOOD["configuration"], "split_from": "segmenter@champion",
            "initial_model_version": "segmenter@champion"}  # fmt: skip
    began = {"label": "segmenter/1", "weights_sha256": weights, "training_key": None}
    second = make_version(
        tmp_path / "v2", name="segmenter", number=2, seed=2,
        training={**GOOD, "configuration": told, "initial_model_version": began},
    )  # fmt: skip
    starts = run._starts(second, settings(tmp_path))
    # Its number of then, not what the alias means now; the split is its own.
    assert asked == ["segmenter/1"]
    assert starts == {"initial_model_version": first, "split_from": second}
    place = tmp_path / "into" / "clone"
    place.mkdir(parents=True)
    monkeypatch.setattr(rerun, "run_script", lambda *_: None)
    rerun.train(place, recorded(second, settings(tmp_path)).train, starts)
    assert load_model_version(place / "models/initial_model_version") == replace(
        first, weights=place / "models/initial_model_version" / WEIGHTS_FILE
    )
    said = yaml.safe_load((place.parent / "configuration/train_again.yaml").read_text("utf-8"))
    assert said["initial_model_version"] == "models/initial_model_version"
    assert said["split_from"] == "models/split_from"
    assert said["seed"] == 7
    other = {**GOOD, "configuration": told,
             "initial_model_version": {**began, "weights_sha256": "0" * 64}}  # fmt: skip
    third = make_version(tmp_path / "v3", name="segmenter", number=3, seed=3, training=other)
    with pytest.raises(ReproductionError, match="has other weights here"):
        run._starts(third, settings(tmp_path))
