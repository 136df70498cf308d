"""What is recorded while the store is away arrives later: whole, in order, once."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lesion_dynamics.records.spool.delivery import Delivery
from lesion_dynamics.records.spool.journal import END, Journal
from lesion_dynamics.records.spool.pending import (
    Delivered,
    deliver_pending,
    journals,
    target_of,
)
from lesion_dynamics.records.spooled_run import SpooledRun
from lesion_dynamics.records.store import Store, connect, open_store
from lesion_dynamics.settings.tracking import TrackingSettings

DOWN = "http://127.0.0.1:9"
"""Nothing listens there."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One database for all: making its tables takes longer than the tests."""
    return tmp_path_factory.mktemp("outages") / "tracking"


@pytest.fixture
def tracking(folder: Path, request: pytest.FixtureRequest) -> TrackingSettings:
    return TrackingSettings(folder=folder, experiment=request.node.name, wait_at_end_seconds=20)


@pytest.fixture
def store(tracking: TrackingSettings) -> Store:
    return connect(tracking)


class Breaking:
    """A client that loses answers: every call of ``names`` is carried out, then fails, once."""

    def __init__(self, client: MlflowClient, names: set[str], *, before: bool = False) -> None:
        self._client, self._names, self._before = client, set(names), before

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if name not in self._names:
            return call

        def breaks(*arguments: Any, **keywords: Any) -> None:
            self._names.discard(name)
            if not self._before:
                call(*arguments, **keywords)
            raise MlflowException("connection lost")

        return breaks


def journal_of(tracking: TrackingSettings) -> Journal:
    journal = Journal(tracking.folder / "spool" / uuid.uuid4().hex)
    journal.open({"target": target_of(tracking), "name": "run", "tags": {}, "created_ms": 1000})
    return journal


def fill(journal: Journal, artifact: Path) -> None:
    journal.append("parameters", {"values": [["seed", "1"]]})
    for step in range(1, 4):
        values = [["loss", 1 / step], ["dice", 0.1 * step]]
        journal.append("metrics", {"values": values, "step": step, "time_ms": 1000 + step})
    journal.append("artifact", {"file": journal.keep(artifact), "folder": "pictures"})
    journal.append("tag", {"name": "colour", "value": "blue"})
    dataset = {"name": "training", "digest": "abc", "source_type": "local", "source": "data"}
    journal.append("dataset", {"dataset": dataset})
    journal.append(END, {"status": "FINISHED", "time_ms": 5000})


def contents(store: Store, run_id: str) -> dict[str, Any]:
    """All that a run holds."""
    client = store.client
    run = client.get_run(run_id)
    return {
        "metrics": {
            name: [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run_id, name)]
            for name in run.data.metrics
        },
        "parameters": run.data.params,
        "tags": {k: v for k, v in run.data.tags.items() if k in ("colour",)},
        "files": [item.path for item in client.list_artifacts(run_id, "pictures")],
        "datasets": [one.dataset.digest for one in run.inputs.dataset_inputs],
        "status": (run.info.status, run.info.start_time, run.info.end_time),
    }


EXPECTED = {
    "metrics": {
        "loss": [(1, 1.0, 1001), (2, 0.5, 1002), (3, 1 / 3, 1003)],
        "dice": [(1, 0.1, 1001), (2, 0.2, 1002), (3, 0.1 * 3, 1003)],
    },
    "parameters": {"seed": "1"},
    "tags": {"colour": "blue"},
    "files": ["pictures/curve.txt"],
    "datasets": ["abc"],
    "status": ("FINISHED", 1000, 5000),
}


@pytest.mark.parametrize("lost", ["the answer", "the question"])
def test_every_call_that_fails_once_is_made_good_without_doubling(
    lost: str, tracking: TrackingSettings, store: Store, tmp_path: Path
) -> None:
    """Each request breaks once, before or after the store has acted on it."""
    journal = journal_of(tracking)
    picture = tmp_path / "curve.txt"
    picture.write_text("curve")
    fill(journal, picture)
    names = {"create_run", "log_batch", "log_artifact", "set_tag", "log_inputs", "set_terminated"}
    broken = Store(
        Breaking(store.client, names, before=lost == "the question"),  # type: ignore[arg-type]
        store.uri,
        store.experiment_id,
    )
    failures = 0
    while journal.waits():
        try:
            Delivery(journal, lambda: broken).step()  # each time as a process that knows nothing
        except MlflowException:
            failures += 1
    assert failures == len(names)
    runs = store.client.search_runs([store.experiment_id])
    assert len(runs) == 1
    assert contents(store, runs[0].info.run_id) == EXPECTED
    assert not list((journal.folder / "files").glob("*/*"))


def test_an_entry_sent_but_not_noted_is_not_sent_again(
    tracking: TrackingSettings, store: Store, tmp_path: Path
) -> None:
    """Killed between the store's answer and the note of it, at every entry."""
    journal = journal_of(tracking)
    (tmp_path / "curve.txt").write_text("curve")
    fill(journal, tmp_path / "curve.txt")
    delivery = Delivery(journal, lambda: store)
    while journal.waits():
        before = journal.delivered()
        delivery.step()
        entry = journal.entries(before["offset"])[0][0]
        if "file" not in entry:  # its copy is deleted after the note
            journal.acknowledge(before)
            delivery = Delivery(journal, lambda: store)
            delivery.step()
    run_id = journal.delivered()["run_id"]
    assert contents(store, run_id) == EXPECTED


def test_a_refused_entry_does_not_hold_up_the_others(
    tracking: TrackingSettings, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    journal = journal_of(tracking)
    journal.append("parameters", {"values": [["seed", "1"]]})
    journal.append("parameters", {"values": [["seed", "2"]]})  # MLflow keeps a parameter as it is
    journal.append("tag", {"name": "colour", "value": "blue"})
    delivery = Delivery(journal, lambda: store)
    while delivery.step():
        pass
    assert delivery.run_id is not None
    run = store.client.get_run(delivery.run_id)
    assert (run.data.params, run.data.tags["colour"]) == ({"seed": "1"}, "blue")
    assert "refused for good" in caplog.text


def test_half_a_line_of_a_killed_process_is_no_entry(tracking: TrackingSettings) -> None:
    journal = journal_of(tracking)
    end = journal.append("tag", {"name": "a", "value": "b"})
    with (journal.folder / "journal.jsonl").open("ab") as file:
        file.write(b'{"kind": "met')
    assert [entry["kind"] for entry, _ in journal.entries()] == ["tag"]
    journal.open(journal.header())
    assert journal.append("tag", {"name": "c", "value": "d"}) > end
    assert [entry["name"] for entry, _ in journal.entries()] == ["a", "c"]


def test_a_run_begun_and_ended_without_a_server_is_delivered_by_the_next_command(
    tracking: TrackingSettings,
) -> None:
    """The store stands in for the server once it answers: only the journal's target says which."""
    away = tracking.model_copy(update={"uri": DOWN, "wait_at_end_seconds": 0})
    run = SpooledRun.start(away, name="outage", tags={"colour": "blue"})
    run.log_metrics({"loss": 0.5, "bad": float("inf"), "worse": float("nan")}, step=1)
    run.log_metrics({"loss": 0.5}, step=1)  # the epoch again after a kill
    run.log_json({"a": 1}, "lineage.json")
    run.finish()
    run.close()
    assert run.run_id is None
    store = connect(tracking)
    assert deliver_pending(tracking, store).runs == 0  # it waits for another store
    assert deliver_pending(away, store) == Delivered(runs=1, waiting=0, in_use=0)
    (found,) = store.client.search_runs([store.experiment_id])
    assert found.data.metrics == {"loss": 0.5}
    assert len(store.client.get_metric_history(found.info.run_id, "loss")) == 1
    assert (found.info.run_name, found.info.status) == ("outage", "FINISHED")
    assert found.data.tags["colour"] == "blue"
    assert [one.path for one in store.client.list_artifacts(found.info.run_id)] == ["lineage.json"]
    assert journals(away) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from lesion_dynamics.records.spooled_run import SpooledRun
from lesion_dynamics.settings.tracking import TrackingSettings
run = SpooledRun.start(
    TrackingSettings(folder=Path(sys.argv[1]), experiment=sys.argv[2]), name="killed", tags={})
run.log_metrics({"loss": 0.5}, step=1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_training_that_was_killed_ends_as_killed_at_the_next_contact(
    tracking: TrackingSettings, store: Store
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tracking.folder), tracking.experiment], check=False
    )
    assert done.returncode == -signal.SIGKILL
    (journal,) = journals(tracking)
    assert journal.state() == "RUNNING"
    open_store(tracking)
    (found,) = store.client.search_runs([store.experiment_id])
    assert (found.info.status, found.data.metrics) == ("KILLED", {"loss": 0.5})
    # It goes on: the same run, and the epoch that is repeated is not recorded twice.
    again = SpooledRun.resume(tracking, spool_id=journal.spool_id, run_id=None, name="killed")
    assert again is not None
    again.log_metrics({"loss": 0.5}, step=1)
    again.log_metrics({"loss": 0.25}, step=2)
    again.finish()
    again.close()
    (found,) = store.client.search_runs([store.experiment_id])
    assert found.info.status == "FINISHED"
    history = store.client.get_metric_history(found.info.run_id, "loss")
    assert [(one.step, one.value) for one in history] == [(1, 0.5), (2, 0.25)]
    assert journals(tracking) == []


def test_a_finished_run_goes_on_without_its_journal_and_a_deleted_one_does_not(
    tracking: TrackingSettings, store: Store
) -> None:
    first = SpooledRun.start(tracking, name="run", tags={})
    first.log_metrics({"loss": 0.5}, step=1)
    first.finish()
    first.close()
    run_id = first.run_id
    assert run_id is not None
    again = SpooledRun.resume(tracking, spool_id=first.spool_id, run_id=run_id, name="run")
    assert again is not None
    again.log_metrics({"loss": 0.5}, step=1)  # known to the store alone
    again.fail()
    again.close()
    assert store.client.get_run(run_id).info.status == "FAILED"
    assert len(store.client.get_metric_history(run_id, "loss")) == 1
    assert SpooledRun.resume(tracking, spool_id="b" * 32, run_id="0" * 32, name="run") is None
    store.client.delete_run(run_id)
    assert SpooledRun.resume(tracking, spool_id=first.spool_id, run_id=run_id, name="run") is None


def test_a_run_in_the_hands_of_its_process_is_left_to_it(
    tracking: TrackingSettings, store: Store
) -> None:
    run = SpooledRun.start(tracking, name="run", tags={})
    assert deliver_pending(tracking, store).in_use == 1
    run.interrupt()
    run.close()
    assert run.run_id is not None
    assert store.client.get_run(run.run_id).info.status == "KILLED"
    assert deliver_pending(tracking, store).in_use == 0


def test_a_full_disk_costs_a_warning_not_the_training(
    tracking: TrackingSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = SpooledRun.start(tracking, name="run", tags={})

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", full)
        run.log_metrics({"loss": 1.0}, step=1)
    assert "not recorded" in caplog.text
    run.finish()
    run.close()
