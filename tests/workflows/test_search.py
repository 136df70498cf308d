"""The search proposes settings, records every training and goes on after an interruption."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from tests.conftest import ROOT, composed

from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.model_version import Manifest, ModelVersion
from lesion_dynamics.records.spool.pending import deliver_pending
from lesion_dynamics.records.spooled_run import SpooledRun
from lesion_dynamics.records.store import Store, connect, open_store
from lesion_dynamics.settings.search import SearchSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.tracking import TrackingSettings
from lesion_dynamics.workflows.search import Train, objective_of, require_one_process_each, run
from lesion_dynamics.workflows.training_version import await_number

pytest.importorskip("optuna")


def settings(folder: Path, **changes: object) -> SearchSettings:
    values = composed("search", f"tracking.folder={folder / 'tracking'}", f"runs={folder}")
    values["space"] = {
        "optimiser.learning_rate": {"low": 1e-4, "high": 1.0, "log": True},
        "loss": {"choices": ["blob", "tversky"]},
        "patch.batch": {"low": 1, "high": 4, "whole": True},
    }
    return validated(SearchSettings, values | changes)


def version(dice: float, f1: float | None = None, folder: Path = Path()) -> ModelVersion:
    manifest = Manifest.model_construct(
        validation={"all": {"mean_dice": dice, "mean_lesion_f1": f1}}, name="m"
    )
    return ModelVersion("m", 1, manifest, folder / "weights")


class Trainings:
    """Best at a learning rate of 0.01 with the blob loss; every one is a run of ``tracking``."""

    def __init__(self, folder: Path, tracking: TrackingSettings | None = None) -> None:
        self.folder, self.tracking = folder, tracking
        self.seen: list[dict[str, str]] = []

    def __call__(self, overrides: Sequence[str]) -> ModelVersion:
        given = dict(one.split("=", 1) for one in overrides)
        self.seen.append(given)
        if self.tracking is not None:
            run = SpooledRun.start(self.tracking, name="training", tags={})
            await_number(self.folder, name="m", run=run.reference)
            run.finish()
            run.close()
        away = abs(float(given["optimiser.learning_rate"]) - 0.01)
        return version(max(0.0, 1.0 - away) - (given["loss"] != "blob") * 0.5, 0.0, self.folder)


def searched(settings: SearchSettings, train: Train, key: str = "key") -> Mapping[str, Any]:
    """Run the search; without the space's values its training has this key."""
    return run(settings, train, lambda _: key)


def test_the_search_stays_in_its_space_and_returns_the_best_training(tmp_path: Path) -> None:
    trainings = Trainings(tmp_path, settings(tmp_path).tracking)
    found = searched(settings(tmp_path, trials=8, overrides=["seed=3"]), trainings)
    assert len(trainings.seen) == 8
    assert all(1e-4 <= float(one["optimiser.learning_rate"]) <= 1 for one in trainings.seen)
    assert {one["patch.batch"] for one in trainings.seen} <= {"1", "2", "3", "4"}
    assert all(one["seed"] == "3" and one["parent_run"] for one in trainings.seen)
    best = max(objective_of(Trainings(tmp_path)([f"{k}={v}" for k, v in one.items()]), "score")
               for one in trainings.seen)  # fmt: skip
    assert found["value"] == pytest.approx(best)
    assert "loss=blob" in found["overrides"]
    store = open_store(settings(tmp_path).tracking)
    check_recorded(store, trainings, found)


def check_recorded(store: Store, trainings: Trainings, found: Mapping[str, Any]) -> None:
    """A run of the search with its best trial, and every trial under it with its settings."""
    runs = store.client.search_runs([store.experiment_id])
    (parent,) = (run for run in runs if run.info.run_name == "search learning-rate-and-loss")
    assert "spool-" + parent.data.tags["spool_id"] == trainings.seen[0]["parent_run"]
    assert parent.data.metrics["score"] == pytest.approx(found["value"])
    assert parent.info.status == "FINISHED"
    assert [item.path for item in store.client.list_artifacts(parent.info.run_id)] == ["best.json"]
    under = [
        dict(one.split("=") for one in json.loads(run.data.tags["sweep_overrides"]))
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    ]
    own = ("optimiser.learning_rate", "loss", "patch.batch")
    wanted = [{name: one[name] for name in own} for one in trainings.seen]
    assert sorted(map(str, under)) == sorted(str({n: o[n] for n in sorted(o)}) for o in wanted)


def test_a_search_without_a_server_is_delivered_later_whole(tmp_path: Path) -> None:
    """The store stands in for the server once it answers: only the journal's target says which."""
    here = settings(tmp_path).tracking
    away = here.model_copy(
        update={"uri": "http://127.0.0.1:9", "wait_at_end_seconds": 0, "folder": tmp_path / "away"}
    )
    trainings = Trainings(tmp_path, away)
    own = settings(tmp_path, trials=3).model_copy(update={"tracking": away})
    found = searched(own, trainings)
    store = connect(here)
    assert deliver_pending(away, store).runs == 4
    check_recorded(store, trainings, found)


def test_an_interrupted_search_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first, second = Trainings(tmp_path), Trainings(tmp_path)
    await_number(tmp_path, name="m", run="0" * 32)
    searched(settings(tmp_path, trials=3), first)
    searched(settings(tmp_path, trials=5), second)
    assert (len(first.seen), len(second.seen)) == (3, 2)
    drawn = [json.dumps(one, sort_keys=True) for one in first.seen + second.seen]
    assert len(set(drawn)) == 5
    assert second.seen[0]["parent_run"] == first.seen[0]["parent_run"]


def test_a_setting_that_fits_only_beside_another_may_be_searched_over(tmp_path: Path) -> None:
    """Patience needs several validations, which another key of the space gives."""
    space = {
        "trainer.validate_every_epochs": {"choices": [1]},
        "trainer.early_stopping_patience": {"choices": [3, 5]},
    }
    processes_looked_at(settings(tmp_path, space=space))


@pytest.mark.parametrize(
    "other", [{"objective": "mean_dice"}, {"overrides": ["segmenter=unet"]}], ids=str
)
def test_a_search_of_something_else_begins_afresh(other: dict[str, Any], tmp_path: Path) -> None:
    first, second = Trainings(tmp_path), Trainings(tmp_path)
    await_number(tmp_path, name="m", run="0" * 32)
    searched(settings(tmp_path, trials=2), first)
    searched(settings(tmp_path, trials=2, **other), second)
    assert (len(first.seen), len(second.seen)) == (2, 2)
    assert second.seen[0]["parent_run"] != first.seen[0]["parent_run"]


def test_the_objective_is_the_named_metric_and_undefined_is_nothing() -> None:
    assert objective_of(version(0.6, 0.2), "score") == pytest.approx(0.4)
    assert objective_of(version(0.6, 0.2), "mean_dice") == 0.6
    assert objective_of(version(0.6, None), "mean_lesion_f1") == 0.0


@pytest.mark.parametrize(
    ("dimension", "said"),
    [
        ({"low": 1, "choices": [1]}, "either choices, or low and high"),
        ({}, "either choices, or low and high"),
        ({"low": 2, "high": 1}, "is not below"),
        ({"low": 0, "high": 1, "log": True}, "log needs a low above 0"),
    ],
)
def test_a_dimension_that_means_nothing_is_refused(
    dimension: dict[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        settings(tmp_path, space={"seed": dimension})


def processes_looked_at(settings: SearchSettings) -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        require_one_process_each(settings)


@pytest.mark.parametrize(
    ("overrides", "space", "said"),
    [
        (["trainer.devices=2"], {}, r"^overrides: trainer.devices=2 .* 2 processes a training"),
        (
            [],
            {"trainer.devices": {"choices": [1, 4]}},
            r"^space trainer\.devices=4: .* 4 processes",
        ),
        (
            [],
            {"++trainer.num_nodes": {"low": 1, "high": 3, "whole": True}},
            r"^space \+\+trainer\.num_nodes=3\.0: .* trainer\.num_nodes=3 are 3 processes",
        ),
    ],
)
def test_no_training_of_a_search_may_take_several_processes(
    overrides: list[str], space: dict[str, object], said: str, tmp_path: Path
) -> None:
    plain = {"trainer.epochs": {"low": 2, "high": 5, "whole": True}, "seed": {"choices": [1, 2]}}
    processes_looked_at(settings(tmp_path, space=plain))
    with pytest.raises(ConfigurationError, match=said):
        processes_looked_at(settings(tmp_path, space=plain | space, overrides=overrides))
