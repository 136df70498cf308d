"""The MLflow store lies where it is told, and survives many first users at once."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from lesion_dynamics.errors import OutputError
from lesion_dynamics.records.spooled_run import SpooledRun
from lesion_dynamics.records.store import open_store
from lesion_dynamics.settings.tracking import TrackingSettings

PROCESSES = 6


def tracking(folder: Path) -> TrackingSettings:
    return TrackingSettings(folder=folder, experiment="test")


def one_run(folder: Path) -> str:
    run = SpooledRun.start(tracking(folder), name="run", tags={})
    run.log_metrics({"score": 0.5}, step=1)
    run.finish()
    run.close()
    assert run.run_id is not None
    return run.run_id


def test_the_store_is_absolute_and_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(TrackingSettings(folder=Path("tracking"), experiment="test"))
    assert store.uri == f"sqlite:///{tmp_path}/tracking/mlflow.db"
    experiment = store.client.get_experiment(store.experiment_id)
    assert experiment.artifact_location == (tmp_path / "tracking" / "artifacts").as_uri()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tracking"]


@pytest.mark.slow
def test_six_processes_on_a_fresh_store_all_record_their_runs(tmp_path: Path) -> None:
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        runs = list(pool.map(one_run, [tmp_path / "tracking"] * PROCESSES))
    store = open_store(tracking(tmp_path / "tracking"))
    found = store.client.search_runs([store.experiment_id])
    assert {run.info.run_id for run in found} == set(runs)
    assert len(found) == PROCESSES
    assert {run.info.status for run in found} == {"FINISHED"}
    assert {run.data.metrics["score"] for run in found} == {0.5}


def test_a_store_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tracking").write_text("a file, not a folder")
    with pytest.raises(OutputError, match="cannot be written"):
        open_store(tracking(tmp_path / "tracking"))
