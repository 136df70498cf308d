"""Fine-tuning, folds, a store that fails: trainings that are not the plain one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tests.conftest import Workplace

from lesion_dynamics.errors import ModelVersionError, OutputError
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.records.store import open_store
from lesion_dynamics.segmenter.module import LesionModule
from lesion_dynamics.workflows.training import run
from lesion_dynamics.workflows.training_plan import plan_training

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


@pytest.mark.slow
def test_a_store_that_fails_during_the_training_loses_nothing(
    trained: tuple[Workplace, ModelVersion],
    workplace: Workplace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Metrics are lost with a warning; the version is trained, kept and registered later."""

    def unreachable(*_: Any, **__: Any) -> None:
        raise MlflowException("the server is down")

    with monkeypatch.context() as patch:
        for name in ("log_batch", "log_dict", "log_artifact", "create_registered_model"):
            patch.setattr(MlflowClient, name, unreachable)
        with pytest.raises(OutputError, match="the training is done, but the registry"):
            run(workplace.training())
    with monkeypatch.context() as patch:
        patch.setattr(LesionModule, "training_step", unreachable)
        version = run(workplace.training())
    assert version.weights.read_bytes() == trained[1].weights.read_bytes()
    assert version.label == "lesion-segmenter/1"


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
