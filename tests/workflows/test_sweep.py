"""A sweep: its run, table and picture, with a store that answers and with one that is away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from matplotlib.image import imread
from mlflow import MlflowClient
from tests.conftest import ROOT
from tests.small_files import files_of_at_most
from tests.workflows.stand_in_sweep import DICE, DOWN, Sweep

from lesion_dynamics.atomic_files import hash_of_content
from lesion_dynamics.records.spool.pending import deliver_pending, journals
from lesion_dynamics.records.spooled_run import SpooledRun
from lesion_dynamics.records.store import Store, connect
from lesion_dynamics.settings.tracking import TrackingSettings
from lesion_dynamics.workflows import command
from lesion_dynamics.workflows.lineage.chain import chain
from lesion_dynamics.workflows.lineage.told import as_text
from lesion_dynamics.workflows.sweep import PARENT_VARIABLE, _is_swept, _plain


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, empty_database: bytes) -> Path:
    """The folder of one store for all."""
    folder = tmp_path_factory.mktemp("sweeps") / "tracking"
    folder.mkdir()
    (folder / "mlflow.db").write_bytes(empty_database)
    return folder


@pytest.fixture(autouse=True)
def _nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_CUT_SHORT", [])
    monkeypatch.delenv(PARENT_VARIABLE, raising=False)


def children(store: Store, parent: str) -> list[tuple[list[str], float]]:
    runs = store.client.search_runs(
        [store.experiment_id],
        f"tags.`mlflow.parentRunId` = '{parent}'",
        order_by=["attributes.start_time ASC"],
    )
    return [
        (json.loads(run.data.tags["sweep_overrides"]), run.data.metrics["final_mean_dice"])
        for run in runs
    ]


def parents(store: Store) -> list[Any]:
    return list(store.client.search_runs([store.experiment_id], "tags.sweep_key LIKE '%'"))


EXPECTED_CHILDREN = [
    ([f"segmenter={network}", f"seed={seed}"], dice) for (network, seed), dice in DICE.items()
]


def check_parent(client: MlflowClient, run: Any, folder: Path) -> None:
    """The run that stands above the trainings holds the comparison, to the last figure."""
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "sweep seed=1,2,3 segmenter=unet,dynunet"
    assert run.data.metrics == pytest.approx(
        {
            "mean_dice segmenter_unet": 0.6, "mean_dice segmenter_dynunet": 0.8,
            "mean_lesion_f1 segmenter_unet": 0.2, "mean_lesion_f1 segmenter_dynunet": 0.1,
        }
    )  # fmt: skip
    files = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert files == {
        "trainings.tsv", "comparison.tsv", "comparison.png", "comparison.svg", "lineage.json",
    }  # fmt: skip
    fetched = Path(client.download_artifacts(run.info.run_id, "", str(folder)))
    table = pd.read_csv(fetched / "comparison.tsv", sep="\t", na_values="n/a")
    table = table.set_index(["setting", "metric"])
    dice = table.loc[("segmenter=unet", "mean_dice")]
    spread = ["trainings", "undefined", "mean", "standard_deviation", "lowest", "highest"]
    assert list(dice[spread]) == pytest.approx([3, 0, 0.6, 0.1, 0.5, 0.7])
    f1 = table.loc[("segmenter=unet", "mean_lesion_f1")]
    assert list(f1[spread]) == pytest.approx([2, 1, 0.2, 0.02**0.5, 0.1, 0.3])
    alone = table.loc[("segmenter=dynunet", "mean_dice")]
    assert (alone["trainings"], alone["mean"]) == (1, 0.8)
    assert pd.isna(alone["standard_deviation"])
    trainings = pd.read_csv(fetched / "trainings.tsv", sep="\t", na_values="n/a")
    assert list(trainings["final_mean_dice"]) == list(DICE.values())
    drawn = imread(fetched / "comparison.png")
    assert drawn.shape[0] > 200
    assert drawn[..., :3].std() > 0.02  # something is drawn


def test_a_sweep_leaves_a_run_with_the_table_and_the_picture(
    tmp_path: Path, database: Path
) -> None:
    tracking = TrackingSettings(folder=database, experiment="answers", wait_at_end_seconds=20)
    sweep = Sweep(tmp_path, tracking)
    sweep.all_of_it()
    store = connect(tracking)
    (run,) = parents(store)
    check_parent(store.client, run, tmp_path)
    assert children(store, run.info.run_id) == EXPECTED_CHILDREN
    assert journals(tracking) == []
    # Started again: the same run, and nothing in it doubled.
    Sweep(tmp_path, tracking).all_of_it()
    (again,) = parents(store)
    assert again.info.run_id == run.info.run_id
    check_parent(store.client, again, tmp_path)
    history = store.client.get_metric_history(run.info.run_id, "mean_dice segmenter_unet")
    assert len(history) == 1


def test_a_comparison_leads_back_to_every_training_of_its_sweep(
    tmp_path: Path, database: Path
) -> None:
    tracking = TrackingSettings(folder=database, experiment="lineage", wait_at_end_seconds=20)
    Sweep(tmp_path, tracking).all_of_it()
    (folder,) = (tmp_path / "runs/sweeps").iterdir()
    steps = chain(folder / "comparison.tsv")
    assert [one["step"] for one in steps] == [
        "file", "analysis", *["model version", "training"] * len(DICE),
    ]  # fmt: skip
    assert steps[0]["state"] == "as recorded"
    assert steps[1]["command"] == "train.py -m"
    weights = [hash_of_content([network, seed]) for network, seed in DICE]
    assert {one["label"]: one["weights_sha256"] for one in steps[2::2]} == {
        f"m/0 {one[:12]}": one for one in weights
    }
    assert {one["key"] for one in steps[3::2]} == {f"key of {n} {s}" for n, s in DICE}
    said = json.loads((folder / "lineage.json").read_text())["record"]["settings"]["overrides"]
    assert said[f"m/0 {weights[0][:12]}"] == ["segmenter=unet", "seed=1"]
    assert "trained on" in as_text(steps)
    table = folder / "comparison.tsv"
    table.write_text(table.read_text() + "\n")
    assert chain(table)[0]["state"] == "changed since"


def test_the_address_of_a_sweeps_server_may_stand_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DOWN)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("train", ["tracking=server"], return_hydra_config=True)
    assert _plain(config)["tracking"]["uri"] == DOWN


def test_a_sweep_may_give_every_job_a_folder_by_its_number(tmp_path: Path) -> None:
    """What an override refers to is a job's own: nothing of the sweep itself may look it up."""
    away = TrackingSettings(folder=tmp_path, experiment="a", uri=DOWN, wait_at_end_seconds=0)
    sweep = Sweep(tmp_path, away, "output=models/${hydra:job.num}")
    parent = sweep.start()
    (begun,) = journals(away)
    assert parent == f"spool-{begun.spool_id}"
    sweep.callback._cut_short(interrupted=True)


def test_a_sweep_without_a_server_is_delivered_later_whole(tmp_path: Path, database: Path) -> None:
    """The store stands in for the server once it answers: only the journal's target says which."""
    here = TrackingSettings(folder=database, experiment="away", wait_at_end_seconds=20)
    away = TrackingSettings(
        folder=tmp_path / "tracking", experiment="away", uri=DOWN, wait_at_end_seconds=0
    )
    Sweep(tmp_path, away).all_of_it()
    made = next((tmp_path / "runs/sweeps").iterdir())
    assert {path.name for path in made.iterdir()} == {
        "trainings", "trainings.tsv", "comparison.tsv", "comparison.png", "comparison.svg",
        "lineage.json",
    }  # fmt: skip
    assert len(journals(away)) == 1 + len(DICE)
    store = connect(here)
    assert store.client.search_runs([store.experiment_id]) == []
    assert deliver_pending(away, store).runs == 1 + len(DICE)
    (run,) = parents(store)
    check_parent(store.client, run, tmp_path / "fetched")
    assert children(store, run.info.run_id) == EXPECTED_CHILDREN
    assert len(store.client.search_runs([store.experiment_id])) == 1 + len(DICE)
    assert journals(away) == []


def test_a_training_links_to_a_sweep_that_the_store_does_not_have_yet(
    tmp_path: Path, database: Path
) -> None:
    """A killed sweep lists nothing; what had begun stands under it all the same, made once."""
    here = TrackingSettings(folder=database, experiment="killed", wait_at_end_seconds=20)
    away = here.model_copy(update={"uri": DOWN, "wait_at_end_seconds": 0, "folder": tmp_path})
    sweep = SpooledRun.start_or_go_on(away, tag="sweep_key", key="k", name="sweep")
    child = SpooledRun.start(away, name="child", tags={})
    child.put_under(sweep.reference)
    child.fail()
    child.close()
    sweep.close()  # it said nothing more
    store = connect(here)
    order = [one.spool_id for one in journals(away)]
    assert order == [sweep.spool_id, child.spool_id]
    (tmp_path / "spool" / sweep.spool_id / "header.json").write_text(
        json.dumps({**journals(away)[0].header(), "created_ms": 2**40})  # delivered last
    )
    assert deliver_pending(away, store).runs == 2
    runs = {run.info.run_name: run for run in store.client.search_runs([store.experiment_id])}
    assert set(runs) == {"sweep", "child"}
    assert runs["child"].data.tags["mlflow.parentRunId"] == runs["sweep"].info.run_id
    assert (runs["child"].info.status, runs["sweep"].info.status) == ("FAILED", "RUNNING")


def test_a_training_that_somebody_deleted_does_not_hold_up_the_others(
    database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracking = TrackingSettings(folder=database, experiment="deleted", wait_at_end_seconds=20)
    sweep = SpooledRun.start_or_go_on(tracking, tag="sweep_key", key="d", name="sweep")
    for gone in ("0" * 32, "spool-" + "0" * 32):
        sweep.list_run(gone, {"sweep_overrides": "[]"})
    sweep.finish()
    sweep.close()
    assert [run.info.status for run in parents(connect(tracking))] == ["FINISHED"]
    assert caplog.text.count("not linked") == 2
    assert journals(tracking) == []


def test_a_comparison_that_finds_no_room_ends_in_one_line_and_not_as_if_all_were_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away = TrackingSettings(
        folder=tmp_path / "tracking", experiment="full", uri=DOWN, wait_at_end_seconds=0
    )
    sweep = Sweep(tmp_path, away)
    parent = sweep.start()
    sweep.job(0, "unet", 1, parent, f1=0.1)
    hydra = Callbacks()
    hydra.callbacks = [sweep.callback]
    with files_of_at_most(100):
        status = command.run_command(lambda: hydra.on_multirun_end(sweep.whole), TrackingSettings)
    assert status == command.EXIT_USER_ERROR
    assert "nothing was half-written" in capsys.readouterr().err
    assert journals(away)[0].state() == "RUNNING"  # started again, it goes on


@pytest.mark.parametrize(
    ("override", "swept"),
    [
        ("seed=1,2,3", True),
        ("patch.size_voxels=range(16,64,16)", True),
        ("segmenter.network.channels=[4,8,8]", False),
        ("segmenter.network.channels=[4,8,8],[8,16,16]", True),
        ("cohort.root=/data/mine", False),
    ],
)
def test_a_sweep_is_called_by_what_it_varies(override: str, swept: bool) -> None:
    assert _is_swept(override) is swept


@pytest.mark.parametrize(
    ("error", "state"), [(KeyboardInterrupt(), "KILLED"), (RuntimeError("a job failed"), "FAILED")]
)
def test_a_sweep_that_is_cut_short_says_so(
    error: BaseException, state: str, tmp_path: Path, database: Path
) -> None:
    tracking = TrackingSettings(folder=database, experiment=state, wait_at_end_seconds=20)
    sweep = Sweep(tmp_path, tracking)

    def breaks() -> None:
        sweep.start()
        raise error

    if isinstance(error, KeyboardInterrupt):
        assert command.run_command(breaks, TrackingSettings) == command.EXIT_INTERRUPTED
    else:
        with pytest.raises(RuntimeError):
            command.run_command(breaks, TrackingSettings)
    store = connect(tracking)
    (run,) = parents(store)
    assert run.info.status == state
