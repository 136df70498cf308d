"""Several who register at the same moment: every number once, the alias at the newest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from tests.workflows.releases.tiny_version import make_version

from lesion_dynamics.records import registry, shipped
from lesion_dynamics.records.registry import NEWEST_ALIAS, register, register_once, resolve
from lesion_dynamics.records.shipped import SHIPPED_NAME, register_shipped
from lesion_dynamics.records.store import Store, connect
from lesion_dynamics.records.training_run import TrainingRun
from lesion_dynamics.settings.tracking import TrackingSettings


@pytest.fixture
def store(empty_database: bytes, tmp_path: Path) -> Store:
    (tmp_path / "tracking").mkdir()
    (tmp_path / "tracking/mlflow.db").write_bytes(empty_database)
    return connect(TrackingSettings(folder=tmp_path / "tracking", experiment="other"))


class Meanwhile:
    """A client beside which something else happens, once, before its first call of ``name``."""

    def __init__(self, client: MlflowClient, name: str, what: Any) -> None:
        self._client, self._name, self._what = client, name, what

    def __getattr__(self, name: str) -> Any:
        if name == self._name and self._what is not None:
            what, self._what = self._what, None
            what()
        return getattr(self._client, name)


def beside(store: Store, name: str, what: Any) -> Store:
    return Store(Meanwhile(store.client, name, what), store.uri, store.experiment_id)  # type: ignore[arg-type]


def registered(store: Store, folder: Path, *, seed: int = 1) -> int:
    make_version(folder, name="tiny", seed=seed)
    run = TrainingRun.start(store, name="run", tags={})
    return register(store, run_id=run.run_id, folder=folder).number


def numbers(store: Store, name: str = "tiny") -> list[int]:
    return sorted(int(v.version) for v in store.client.search_model_versions(f"name='{name}'"))


def test_the_first_version_of_a_name_is_registered_beside_another_first_one(
    store: Store, tmp_path: Path
) -> None:
    """The name is made by the other one between looking for it and making it."""
    busy = beside(
        store, "create_registered_model", lambda: registered(store, tmp_path / "other", seed=2)
    )
    assert registered(busy, tmp_path / "own") == 2
    assert numbers(store) == [1, 2]


def test_the_alias_ends_at_the_newest_whoever_sets_it_last(store: Store, tmp_path: Path) -> None:
    busy = beside(
        store, "set_registered_model_alias", lambda: registered(store, tmp_path / "other", seed=2)
    )
    assert registered(busy, tmp_path / "own") == 1
    assert numbers(store) == [1, 2]
    assert int(store.client.get_model_version_by_alias("tiny", NEWEST_ALIAS).version) == 2


def test_files_that_were_registered_meanwhile_are_not_registered_twice(
    store: Store, tmp_path: Path
) -> None:
    folder = make_version(tmp_path / "own", name="tiny").weights.parent
    busy = beside(
        store, "create_model_version", lambda: registered(store, tmp_path / "other", seed=1)
    )
    run = TrainingRun.start(store, name="run", tags={})
    assert register_once(busy, run_id=run.run_id, folder=folder) == 1
    assert numbers(store) == [1]
    assert int(store.client.get_model_version_by_alias("tiny", NEWEST_ALIAS).version) == 1


@pytest.mark.parametrize("dies", [False, True], ids=["it registers", "it was killed"])
def test_another_machine_that_has_taken_the_baseline_s_name_is_waited_for(
    dies: bool, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a server knows of it: each machine's lock lies in a folder of its own."""
    machine = TrackingSettings(folder=tmp_path / "machine", uri=store.uri, experiment="other")
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2 and not dies:
            folder = tmp_path / "copy"
            folder.mkdir()
            for path in shipped.SHIPPED_FOLDER.iterdir():
                if path.is_file():
                    (folder / path.name).write_bytes(path.read_bytes())
            run = TrainingRun.start(store, name="the other machine's", tags={})
            register(store, run_id=run.run_id, folder=folder)

    class Clock:
        def monotonic(self) -> float:
            return float(sum(waited))

        def sleep(self, seconds: float) -> None:
            pause(seconds)

    store.client.create_registered_model(SHIPPED_NAME)
    monkeypatch.setattr(shipped, "time", Clock())
    assert resolve(f"{SHIPPED_NAME}/1", machine).number == 1
    assert numbers(store, SHIPPED_NAME) == [1]
    assert sum(waited) == (60.0 if dies else 1.0)
    names = {run.info.run_name for run in store.client.search_runs([store.experiment_id])}
    assert names == ({"lesion-baseline, as shipped"} if dies else {"the other machine's"})


def test_who_finds_the_name_free_registers_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "time", None)  # nothing is waited for
    assert register_shipped(store) == 1
    assert registry.find_same(store, shipped.SHIPPED_FOLDER) == 1
