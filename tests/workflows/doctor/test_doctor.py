"""Every fault that the doctor knows is made, seen, and named with its way out."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import composed

from lesion_dynamics.records.store import open_store
from lesion_dynamics.settings.doctor import DoctorSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.tracking import TrackingSettings
from lesion_dynamics.workflows.doctor import machine, places
from lesion_dynamics.workflows.doctor.examination import SetupError, examine, run
from lesion_dynamics.workflows.doctor.packages import package_remarks
from lesion_dynamics.workflows.doctor.remark import Remark


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "constraints.txt").write_text("", encoding="utf-8")
    return tmp_path


def settings(*more: str) -> DoctorSettings:
    # The machine of the tests may be small: what is wanted of it is nothing.
    little = ["free_gb=0", "memory_gb=0", "shared_memory_gb=0"]
    return validated(DoctorSettings, composed("doctor", *little, *more))


def of(subject: str, remarks: list[Remark]) -> Remark:
    return next(one for one in remarks if one.subject == subject)


def test_a_fresh_folder_is_sound_and_left_as_it_was(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(settings())
    assert {path.name for path in here.iterdir()} == {"constraints.txt"}
    shown = capsys.readouterr().out
    assert "not made yet; the first command makes it" in shown
    run(settings("as_json=true"))
    said = json.loads(capsys.readouterr().out)
    assert said["sound"] is True
    assert {"Python", "packages", "cores", "memory", "GPU", "git", "folders", "disk", "store",
            "data", "open MS data"} <= {one["subject"] for one in said["remarks"]}  # fmt: skip


@pytest.mark.parametrize(
    ("override", "subject"),
    [("free_gb=1000000000", "disk"), ("memory_gb=1000000000", "memory")],
)
def test_too_little_disk_or_memory_is_a_problem(override: str, subject: str, here: Path) -> None:
    found = of(subject, examine(settings(override)))
    assert found.state == "problem"
    assert found.remedy
    with pytest.raises(SetupError, match="1 problem") as refused:
        run(settings(override))
    assert len(str(refused.value).splitlines()) == 1


def test_a_small_shared_memory_is_said(here: Path) -> None:
    found = [r for r in examine(settings("shared_memory_gb=1e9")) if r.subject == "shared memory"]
    assert not machine._SHARED.is_dir() or found[0].state == "note"


def test_a_file_where_a_folder_should_be_is_a_problem(here: Path) -> None:
    (here / "results").write_text("a file", encoding="utf-8")
    found = of("folders", examine(settings()))
    assert (found.state, found.what) == ("problem", "results: a file stands in its place")
    assert of("folders", examine(settings("outputs=[derivatives]"))).state == "good"
    (here / "cached").write_text("a file", encoding="utf-8")
    found = of("folders", examine(settings("outputs=[derivatives]", "cache.folder=cached")))
    assert found.what == "cached: a file stands in its place"


def test_a_folder_without_permission_is_a_problem(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "results").mkdir()
    real = places.os.access

    def access(path: Path, mode: int) -> bool:  # root may write everywhere
        return Path(path).name != "results" and real(path, mode)

    monkeypatch.setattr(places.os, "access", access)
    assert of("folders", examine(settings())).what == "results: may not be written"


def damage(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[4096 : 3 * 4096] = b"\xff" * (2 * 4096)
    database.write_bytes(content)


def empty(database: Path) -> None:
    database.write_bytes(b"")


def no_database(database: Path) -> None:
    database.write_bytes(b"not a database at all, just some text" * 100)


@pytest.mark.parametrize("fault", [damage, empty, no_database])
def test_a_store_that_is_damaged_is_a_problem(fault: Callable[[Path], None], here: Path) -> None:
    made_store(here / "tracking")
    assert of("store", examine(settings())).what == "0 runs, 0 model versions"
    fault(here / "tracking" / "mlflow.db")
    assert of("store", examine(settings())).state == "problem"


def made_store(folder: Path) -> None:
    """What the doctor reads of a store, without MLflow's long making of one."""
    folder.mkdir()
    database = sqlite3.connect(folder / "mlflow.db")
    database.execute("CREATE TABLE model_versions (name TEXT)")
    database.execute("CREATE TABLE runs (run_uuid TEXT)")
    database.execute("CREATE TABLE experiments (artifact_location TEXT)")
    place = (folder / "artifacts").as_uri()
    database.execute("INSERT INTO experiments VALUES (?)", (place,))
    database.commit()
    database.close()


def test_a_store_of_mlflow_is_read_and_one_that_was_moved_is_seen(here: Path) -> None:
    open_store(TrackingSettings(folder=here / "tracking", uri=None, experiment="test"))
    assert of("store", examine(settings())).what == "0 runs, 0 model versions"
    (here / "tracking").rename(here / "elsewhere")
    found = of("store", examine(settings("tracking.folder=elsewhere")))
    assert found.state == "problem"
    assert "was moved" in found.what


def test_a_server_that_does_not_answer_is_named_without_its_address(here: Path) -> None:
    address = "http://user:secret@127.0.0.1:9"
    found = of("store", examine(settings(f"tracking.uri={address}")))
    assert found.state == "problem"
    assert "does not answer" in found.what
    assert "secret" not in str(found)


def test_the_state_of_the_data(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert of("data", examine(settings())).remedy == "dvc add data"
    (here / "data.dvc").write_text("outs:\n- md5: abc.dir\n  path: data\n", encoding="utf-8")
    assert "which is not here" in of("data", examine(settings())).what
    (here / "data").mkdir()
    assert of("data", examine(settings())).state == "good"
    monkeypatch.setattr(places, "pinned_state", lambda _root: "modified")
    assert "is not what data.dvc pins" in of("data", examine(settings("data=true"))).what
    assert of("data", examine(settings())).state == "good"  # not compared unless asked


def test_versions_are_held_against_the_tested_ones(tmp_path: Path) -> None:
    from importlib.metadata import version

    tested = tmp_path / "constraints.txt"
    tested.write_text(f"numpy=={version('numpy')}\nPyYAML==0.0.1  # old\n", encoding="utf-8")
    found = of("packages", package_remarks(tested))
    assert found.state == "note"
    assert found.what == f"other than tested: pyyaml {version('PyYAML')} (tested 0.0.1)"
    tested.write_text(f"numpy=={version('numpy')}\n", encoding="utf-8")
    assert of("packages", package_remarks(tested)).state == "good"
    assert "no file" in of("packages", package_remarks(tmp_path / "none")).what


def test_the_commit_of_the_code_and_its_changes_are_named(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "code_folder", lambda: here)
    assert "no repository holds this code" in of("git", examine(settings())).what
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(here)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "first"], check=True)
    assert of("git", examine(settings())).state == "good"
    (here / "constraints.txt").write_text("\n", encoding="utf-8")
    assert "with changes" in of("git", examine(settings())).what


def test_the_quota_of_a_container_and_a_gpu_without_cuda(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cgroup").mkdir()
    (tmp_path / "cgroup" / "cpu.max").write_text("50000 100000\n", encoding="utf-8")
    (tmp_path / "cgroup" / "memory.max").write_text("1000000000\n", encoding="utf-8")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "_gpus_of_the_driver", lambda: ["NVIDIA X"])
    monkeypatch.setattr(machine.importlib.metadata, "version", lambda _name: "2.13.0+cpu")
    remarks = machine.machine_remarks(settings("memory_gb=2"))
    assert "a quota allows 0.5" in of("cores", remarks).what
    assert of("memory", remarks).what.startswith("1.0 GB")
    assert of("memory", remarks).state == "problem"
    assert of("GPU", remarks).state == "problem"
    assert "without CUDA" in of("GPU", remarks).what
    (tmp_path / "cgroup" / "cpu.max").write_text("max 100000\n", encoding="utf-8")
    assert of("cores", machine.machine_remarks(settings())).state == "good"


def test_the_open_ms_data(here: Path) -> None:
    (here / "open").mkdir()
    assert of("open MS data", examine(settings("open_ms_data=open"))).state == "good"
    assert of("open MS data", examine(settings("open_ms_data=none"))).state == "note"
