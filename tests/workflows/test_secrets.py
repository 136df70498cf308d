"""Nothing identifying and no credential comes out of the loop: markers are planted and sought."""

from __future__ import annotations

import gzip
import logging
import os
import platform
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import pytest
from tests.conftest import Workplace, composed
from tests.workflows.stand_in_sweep import DICE, Sweep

from lesion_dynamics.records.spool.pending import deliver_pending
from lesion_dynamics.records.spooled_run import SpooledRun
from lesion_dynamics.records.store import connect
from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.tracking import TrackingSettings
from lesion_dynamics.workflows import analysis, command, inference, training
from lesion_dynamics.workflows.sweep import PARENT_VARIABLE

MARK = "Q7xMARK"
"""Every planted string begins with it."""
VARIABLES = (
    "USER", "LOGNAME", "USERNAME", "LNAME", "HOSTNAME", "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY", "SOME_OTHER_SECRET",
)  # fmt: skip


def plant_in_header(path: Path) -> None:
    """Where clinical files carry names and dates: free text of the header, and an extension."""
    image = nib.load(path)
    for field in ("descrip", "aux_file", "intent_name"):
        image.header[field] = f"{MARK}{field}"[: image.header[field].dtype.itemsize or None]
    image.header["db_name"] = f"{MARK}db"
    comment = nib.nifti1.Nifti1Extension("comment", f"{MARK}extension".encode())
    image.header.extensions.append(comment)
    nib.save(image, path)


def plant_in_tables(cohort: Path) -> None:
    """Columns that nobody asked for."""
    for table in [cohort / "participants.tsv", *cohort.glob("sub-*/sub-*_sessions.tsv")]:
        header, *rows = table.read_text().splitlines()
        planted = [f"{row}\t{MARK}name\t{MARK}1970-01-01" for row in rows]
        table.write_text("\n".join([f"{header}\tname\tbirth_date", *planted]) + "\n")


def contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file with its bytes, compressed ones unpacked; a database with all that it holds."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        yield path, gzip.decompress(data) if path.suffix == ".gz" else data
        if path.suffix == ".db":
            with sqlite3.connect(path) as database:
                yield path, "\n".join(database.iterdump()).encode()


def found_in(folder: Path) -> list[str]:
    return [
        f"{path.relative_to(folder)}: {data[max(0, at - 40) : at + 40]!r}"
        for path, data in contents(folder)
        if (at := data.find(MARK.encode())) >= 0
    ]


def test_the_search_finds_what_is_planted(small_phantom: Path, tmp_path: Path) -> None:
    """Otherwise the next test would say nothing."""
    flair = next(small_phantom.glob("study/sub-*/ses-*/anat/*_FLAIR.nii.gz"))
    shutil.copy(flair, tmp_path)
    assert not found_in(tmp_path)
    plant_in_header(tmp_path / flair.name)
    (content,) = (data for _, data in contents(tmp_path))
    for field in ("descrip", "aux_file", "db", "intent", "extension"):
        assert f"{MARK}{field}".encode()[:16] in content


@pytest.mark.slow
def test_nothing_planted_leaves_the_loop(
    tmp_path: Path,
    small_phantom: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    data = tmp_path / "data"
    shutil.copytree(small_phantom, data)
    for cohort in ("training", "study"):
        plant_in_tables(data / cohort)
        for path in sorted((data / cohort).rglob("*.nii.gz")):
            plant_in_header(path)
    for name in VARIABLES:
        monkeypatch.setenv(name, f"{MARK}{name}")
    monkeypatch.setattr(platform, "node", lambda: f"{MARK}host")
    monkeypatch.setattr(socket, "gethostname", lambda: f"{MARK}host")
    place = Workplace(tmp_path / "work", data)
    version = training.run(place.training("trainer.epochs=1"))
    inference.run(place.inference())
    values = composed(
        "analyze",
        f"cohort.root={data / 'study'}",
        f"cohort.truth={data / 'truth/study/lesion_measurements.tsv'}",
        f"measurements=[{place.folder / 'derivatives/study'}]",
        f"output={place.folder / 'results'}",
    )
    analysis.run(validated(AnalyzeSettings, values))
    assert version.label == "lesion-segmenter/1"
    assert (place.folder / "results/study.txt").is_file()
    assert not found_in(place.folder)
    said = capfd.readouterr()
    assert MARK not in said.out + said.err + caplog.text


def test_the_password_of_an_address_stays_in_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that does not answer: what waits for it, and what the log says of it."""
    caplog.set_level("INFO")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "")  # both are restored after the test
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "")
    del os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]
    settings = TrackingSettings(
        folder=tmp_path / "tracking",
        uri=f"http://anna:{MARK}@127.0.0.1:9",
        experiment="test",
        wait_at_end_seconds=5,
    )
    monkeypatch.setattr("lesion_dynamics.records.spool.sender._FIRST_PAUSE_SECONDS", 0.01)
    run = SpooledRun.start(settings, name="run", tags={})
    run.log_metrics({"loss": 1.0}, step=1)
    run.finish()
    run._patience = 0.5
    run.close()
    assert "the store does not answer" in caplog.text
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "anna"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == MARK
    assert MARK not in caplog.text
    assert not found_in(tmp_path)


def test_a_sweep_keeps_no_password_of_an_address(
    tmp_path: Path,
    empty_database: bytes,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The spool, the tables, Hydra's own files, the log, and what the store gets later."""
    caplog.set_level("DEBUG")
    for name in (*VARIABLES, "MLFLOW_TRACKING_USERNAME", PARENT_VARIABLE):
        monkeypatch.setenv(name, f"{MARK}{name}")  # all are restored after the test
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        del os.environ[name]
    address = f"http://anna:{MARK}@127.0.0.1:9"
    away = TrackingSettings(
        folder=tmp_path / "tracking", uri=address, experiment="test", wait_at_end_seconds=0
    )
    sweep = Sweep(tmp_path, away, f"tracking.uri={address}")

    def announced() -> None:  # as Hydra does
        logging.getLogger("hydra").info("#0 : seed=1 tracking.uri=%s", address)

    command.run_command(announced, TrackingSettings)
    assert "#0 : seed=1 tracking.uri=http://127.0.0.1:9" in caplog.text
    sweep.all_of_it()
    made = {path.name for path in (tmp_path / "runs/sweeps").rglob("*")}
    assert {"trainings.tsv", "comparison.tsv", "comparison.png"} <= made
    assert (tmp_path / "tracking/spool").is_dir()
    assert not found_in(tmp_path)
    (tmp_path / "store").mkdir()
    (tmp_path / "store/mlflow.db").write_bytes(empty_database)
    store = connect(TrackingSettings(folder=tmp_path / "store", experiment="test"))
    assert deliver_pending(away, store).runs == 1 + len(DICE)
    assert len(store.client.search_runs([store.experiment_id])) == 1 + len(DICE)
    assert not found_in(tmp_path)
    assert MARK not in caplog.text
