"""A run whose command was cut off after its version had been registered."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lesion_dynamics.records.cut_off import finish_if_cut_off
from lesion_dynamics.records.spool.pending import journals
from lesion_dynamics.records.spooled_run import SpooledRun
from lesion_dynamics.records.store import connect
from lesion_dynamics.settings.tracking import TrackingSettings


@pytest.fixture
def tracking(tmp_path: Path, empty_database: bytes) -> TrackingSettings:
    (tmp_path / "mlflow.db").write_bytes(empty_database)
    return TrackingSettings(folder=tmp_path, experiment="cut off", wait_at_end_seconds=20)


@pytest.mark.parametrize("ending", ["fail", "interrupt"])
def test_it_ends_well_and_its_journal_goes_but_nobody_elses(
    tracking: TrackingSettings, ending: str
) -> None:
    ours, other = (SpooledRun.start(tracking, name=name, tags={}) for name in ("ours", "other"))
    for run in (ours, other):
        getattr(run, ending)()
        run.close()
    store = connect(tracking)
    assert ours.run_id is not None
    assert len(journals(tracking)) == 2  # either training might go on
    finish_if_cut_off(store, tracking, ours.run_id)
    runs = store.client.search_runs([store.experiment_id])
    bad = {"fail": "FAILED", "interrupt": "KILLED"}[ending]
    said = {run.info.run_name: run.info.status for run in runs}
    assert said == {"ours": "FINISHED", "other": bad}
    assert [journal.spool_id for journal in journals(tracking)] == [other.spool_id]


def test_one_that_is_still_going_is_left_alone(tracking: TrackingSettings) -> None:
    run = SpooledRun.start(tracking, name="going", tags={})
    run.log_metrics({"loss": 1.0}, step=1)
    run.close()  # delivered, and without an end
    store = connect(tracking)
    assert run.run_id is not None
    finish_if_cut_off(store, tracking, run.run_id)
    assert store.client.get_run(run.run_id).info.status == "RUNNING"
    assert [journal.spool_id for journal in journals(tracking)] == [run.spool_id]


def test_a_server_that_goes_away_just_then_costs_a_warning(
    tracking: TrackingSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = connect(tracking)

    def away(*_: object) -> None:
        raise MlflowException("the server is down\nand more")

    monkeypatch.setattr(MlflowClient, "get_run", away)
    finish_if_cut_off(store, tracking, "0" * 32)
    assert caplog.messages == ["tracking: not recorded (the server is down)"]
