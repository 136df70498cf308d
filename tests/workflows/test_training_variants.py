"""Fine-tuning, folds, a store that fails: trainings that are not the plain one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import safetensors.torch
import torch
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tests.conftest import Workplace

from lesion_dynamics.cohort.splits import Split
from lesion_dynamics.errors import CohortError, ConfigurationError, ModelVersionError
from lesion_dynamics.model_version import ModelVersion, load_model_version
from lesion_dynamics.records import lineage
from lesion_dynamics.records.pinned_data import pin_beside
from lesion_dynamics.records.registry import resolve
from lesion_dynamics.records.store import open_store
from lesion_dynamics.segmenter.module import LesionModule
from lesion_dynamics.workflows.initial_version import chain_from
from lesion_dynamics.workflows.training import run
from lesion_dynamics.workflows.training_data import data_record, data_tags, dataset_of
from lesion_dynamics.workflows.training_plan import _require_lesions_to_validate, plan_training
from lesion_dynamics.workflows.training_steps import _training_record
from lesion_dynamics.workflows.training_version import registered_run

FINE = ("initial_model_version=lesion-segmenter/1", "name=fine", "trainer.epochs=1")


def test_fine_tuning_starts_from_the_named_weights_and_keeps_its_lineage(
    trained: tuple[Workplace, ModelVersion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, version = trained
    first: list[dict[str, torch.Tensor]] = []
    whole = LesionModule.training_step

    def watched(self: LesionModule, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        if not first:
            first.append({n: v.detach().clone() for n, v in self.network.named_parameters()})
        return whole(self, batch, index)

    monkeypatch.setattr(LesionModule, "training_step", watched)
    fine = run(place.training(*FINE, f"output={tmp_path / 'fine'}"))
    start = safetensors.torch.load_file(version.weights)
    assert all(torch.equal(first[0][name], start[name]) for name in first[0])
    initial = fine.manifest.training["initial_model_version"]
    assert initial["label"] == "lesion-segmenter/1"
    assert initial["weights_sha256"] == version.manifest.weights_sha256
    run_id = json.loads((tmp_path / "fine/model_version.json").read_text())["run_id"]
    tags = open_store(place.training().tracking).client.get_run(run_id).data.tags
    assert tags["initial_model_version"] == "lesion-segmenter/1"
    keys = {plan_training(place.training(*FINE[1:])).key, plan_training(place.training(*FINE)).key}
    assert len(keys) == 2


def test_a_share_of_the_weights_it_started_from_stays_in_what_is_registered(
    trained: tuple[Workplace, ModelVersion], tmp_path: Path
) -> None:
    place, version = trained
    alone = run(place.training(*FINE, f"output={tmp_path / 'alone'}"))
    mixed = run(place.training(*FINE, "initial_weights_share=0.25", f"output={tmp_path / 'mixed'}"))
    before, after, found = (
        safetensors.torch.load_file(one.weights) for one in (version, alone, mixed)
    )
    assert any(not torch.equal(before[name], after[name]) for name in before)
    for name, value in found.items():
        torch.testing.assert_close(value, 0.75 * after[name] + 0.25 * before[name])
    assert mixed.manifest.validation != alone.manifest.validation
    cards = [(one.weights.parent / "model_card.md").read_text() for one in (mixed, alone)]
    assert ["a share of 0.25 of these weights" in card for card in cards] == [True, False]


def test_fresh_weights_have_no_share(workplace: Workplace) -> None:
    with pytest.raises(ConfigurationError, match="needs an initial_model_version"):
        workplace.training("initial_weights_share=0.5")


def test_weights_that_know_a_validation_participant_are_refused(
    trained: tuple[Workplace, ModelVersion], tmp_path: Path
) -> None:
    """Whether they were trained on somebody, or what they came from was."""
    place, version = trained
    sides = version.manifest.training["participants"]
    other = next(
        seed
        for seed in range(1, 50)
        if set(plan_training(place.training(f"split_seed={seed}")).split.validation)
        & set(sides["training"])
    )
    with pytest.raises(
        ModelVersionError,
        match=r"lesion-segmenter/1 has learned from \d of the .*split_from=lesion-segmenter/1:",
    ):
        plan_training(place.training(*FINE, f"split_seed={other}"))
    with pytest.raises(ModelVersionError, match=r"leave those out of the cohort\. If they"):
        plan_training(place.training(*FINE, "segmenter.spacing_mm=1", "synthesis.share=1"))
    fold = next(
        fold
        for fold in (1, 2)
        if set(plan_training(place.training("folds=2", f"fold={fold}")).split.validation)
        & set(sides["training"])
    )
    with pytest.raises(ModelVersionError, match=r"trained without folds: .*split_from=lesion-seg"):
        plan_training(place.training(*FINE, "folds=2", f"fold={fold}"))
    kept = plan_training(
        place.training(*FINE, f"split_seed={other}", "split_from=lesion-segmenter/1")
    )
    assert set(kept.split.validation) == set(sides["validation"])
    # Fine-tuned on nobody, it still knows whom its weights began with.
    manifest = version.manifest.model_dump(mode="json")
    manifest["training"] |= {
        "participants": {"training": [], "validation": []},
        "initial_model_version": chain_from(version),
    }
    folder = tmp_path / "descendant"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    for name in (version.weights.name, "model_version.json"):
        (folder / name).write_bytes((version.weights.parent / name).read_bytes())
    with pytest.raises(ModelVersionError, match="lesion-segmenter/1 has learned from"):
        plan_training(
            place.training(f"initial_model_version={folder}", "name=fine", f"split_seed={other}")
        )


def test_weights_of_another_network_are_refused_before_torch(
    trained: tuple[Workplace, ModelVersion],
) -> None:
    place, _ = trained
    with pytest.raises(ModelVersionError, match=r"segmenter.network differ.*lesion-segmenter/1"):
        plan_training(place.training(*FINE, "segmenter.network.channels=[8,8,8]"))


def test_folds_share_out_the_participants_and_name_other_trainings(
    trained: tuple[Workplace, ModelVersion],
) -> None:
    place, _ = trained
    plans = [plan_training(place.training("folds=2", f"fold={fold}")) for fold in (1, 2)]
    first, second = (set(plan.split.validation) for plan in plans)
    assert not first & second
    assert first | second == {scan.participant_id for scan in plans[0].scans}
    assert plans[0].key != plans[1].key
    recorded = _training_record(plans[1], place.training("folds=2", "fold=2"))
    assert recorded["fold"] == "2 of 2"
    assert "fold" not in _training_record(plans[1], place.training())


@pytest.mark.parametrize("fold", [1, 8])
def test_a_fold_without_any_lesion_is_refused_before_the_first_one_trains(
    fold: int, workplace: Workplace
) -> None:
    """One of the eight participants has no lesion: left alone, nothing chooses a threshold."""
    with pytest.raises(
        CohortError,
        match=r"fold \d of 8: none of the 1 validation participant\(s\) has a reference lesion\. "
        r"Ask for fewer folds\.$",
    ):
        plan_training(workplace.training("folds=8", f"fold={fold}"))
    assert plan_training(workplace.training("folds=4", "fold=4")).split.validation


def test_a_single_participant_with_lesions_cannot_be_on_both_sides(workplace: Workplace) -> None:
    strata = pd.DataFrame({"participant_id": ["a", "b", "c"], "lesions": [True, False, False]})
    settings = workplace.training()
    _require_lesions_to_validate(Split(("b", "c"), ("a",)), strata, settings)
    with pytest.raises(CohortError, match=r"none of the 2 .* two of one diagnosis"):
        _require_lesions_to_validate(Split(("a",), ("b", "c")), strata, settings)


@pytest.mark.slow
def test_a_store_that_fails_during_the_training_loses_nothing(
    trained: tuple[Workplace, ModelVersion],
    workplace: Workplace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends with a model version that has no number yet; the next command delivers it all."""

    def unreachable(*_: Any, **__: Any) -> None:
        raise MlflowException("the server is down")

    settings = workplace.training("tracking.wait_at_end_seconds=0")
    with monkeypatch.context() as patch:
        for name in ("create_run", "log_batch", "log_artifact", "create_registered_model"):
            patch.setattr(MlflowClient, name, unreachable)
        first = run(settings)
        assert first.label == "lesion-segmenter/0"
        assert resolve(str(first.weights.parent), settings.tracking).label == first.label
    with monkeypatch.context() as patch:
        patch.setattr(LesionModule, "training_step", unreachable)
        version = run(settings)
    assert version.weights.read_bytes() == trained[1].weights.read_bytes()
    assert version.label == "lesion-segmenter/1"
    assert load_model_version(workplace.folder / "models/lesion-segmenter").number == 1
    store = open_store(settings.tracking)
    (recorded,) = store.client.search_runs([store.experiment_id])
    whole = open_store(trained[0].training().tracking)
    undisturbed = whole.client.get_run(registered_run(trained[1].weights.parent) or "")
    assert recorded.data.metrics == undisturbed.data.metrics
    assert recorded.info.status == "FINISHED"
    assert not list((workplace.folder / "tracking/spool").glob("*/header.json"))


def test_a_training_on_modified_data_says_so_and_tags_the_run(
    trained: tuple[Workplace, ModelVersion],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As DVC sees it: the pin of a folder, one byte of a file in it changed."""
    plan = plan_training(trained[0].training())
    unpinned = plan.scans[0].images["FLAIR"].parents[3]
    assert data_tags(unpinned) == {"data_state": "not pinned"}
    assert dataset_of(plan, unpinned)["source_type"] == "local"
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "data/study").mkdir(parents=True)
    (tmp_path / "data/study/scan").write_bytes(b"brain")
    for arguments in (["init", "-q"], ["add", "-q", "data"]):
        subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=tmp_path, check=True)
    dataset = dataset_of(plan, tmp_path / "data/study")
    pinned = yaml.safe_load((tmp_path / "data.dvc").read_text())["outs"][0]["md5"]
    assert data_tags(tmp_path / "data/study") == {"data_state": "same", "data_dvc_md5": pinned}
    assert json.loads(dataset["source"])["md5"] == pinned
    assert not caplog.text
    monkeypatch.setattr(lineage, "code_folder", lambda: tmp_path)
    kept = data_record("one training", tmp_path / "data/study", None)
    assert kept == {
        "dvc_md5": pinned, "path": "data", "state": "same", "file": "data.dvc",
        "root": "data/study", "reference_masks": None,
    }  # fmt: skip
    (tmp_path / "data/study/scan").write_bytes(b"brain with another byte")
    # What it was when the training began; another training sees it anew.
    assert data_record("one training", tmp_path / "data/study", None)["state"] == "same"
    assert data_record("another", tmp_path / "data/study", None)["state"] == "modified"
    assert data_record("elsewhere", unpinned, unpinned)["root"] is None
    assert pin_beside(tmp_path / "data/study") == {"dvc_md5": pinned, "path": "data"}
    assert pin_beside(unpinned) == {"dvc_md5": None, "path": None}
    assert data_tags(tmp_path / "data/study")["data_state"] == "modified"
    assert "cannot be repeated from its record" in caplog.text


def test_a_training_whose_output_was_overwritten_is_found_in_its_run_folder(
    trained: tuple[Workplace, ModelVersion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, version = trained

    def unexpected(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("lesion_dynamics.workflows.training._prepare", unexpected)
    again = run(place.training(f"output={tmp_path / 'elsewhere'}", "parent_run=abc"))
    assert again.label == version.label
    assert again.weights.parent == tmp_path / "elsewhere"
    assert again.weights.read_bytes() == version.weights.read_bytes()
    run_id = json.loads((tmp_path / "elsewhere/model_version.json").read_text())["run_id"]
    client = open_store(place.training().tracking).client
    assert client.get_run(run_id).data.tags["mlflow.parentRunId"] == "abc"
