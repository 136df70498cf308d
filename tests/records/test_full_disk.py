"""What is to be recorded when the disk is full: nothing half, nothing lost, nothing ended."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tests.small_files import files_of_at_most

from lesion_dynamics.errors import DiskFullError, OutputError
from lesion_dynamics.records.spool.journal import Journal
from lesion_dynamics.records.spool.pending import journals
from lesion_dynamics.records.spooled_run import SpooledRun
from lesion_dynamics.records.store import connect, first_line
from lesion_dynamics.settings.tracking import TrackingSettings


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "run")
    journal.open({"target": {}, "name": "run", "tags": {}, "created_ms": 1})
    return journal


@pytest.fixture
def tracking(tmp_path: Path) -> TrackingSettings:
    """A server that is away: all that is seen is what lies on disk."""
    return TrackingSettings(
        folder=tmp_path / "tracking",
        experiment="full",
        uri="http://127.0.0.1:9",
        wait_at_end_seconds=0,
    )


def said(journal: Journal) -> list[dict[str, object]]:
    return [entry for entry, _ in journal.entries()]


def test_half_an_entry_is_taken_back(journal: Journal) -> None:
    journal.append("tag", {"name": "first", "value": "1"})
    before = journal.size()
    with files_of_at_most(before + 20), pytest.raises(DiskFullError):
        journal.append("tag", {"name": "second", "value": "2" * 50})
    assert (journal.folder / "journal.jsonl").stat().st_size == before
    assert journal.append("tag", {"name": "third", "value": "3"}) == journal.size()
    assert [entry["name"] for entry in said(journal)] == ["first", "third"]


def test_half_a_copy_is_taken_back(journal: Journal, tmp_path: Path) -> None:
    version = tmp_path / "version"
    version.mkdir()
    (version / "manifest.json").write_text("{}")
    (version / "weights.safetensors").write_bytes(bytes(50_000))
    picture = tmp_path / "curve.png"
    picture.write_bytes(bytes(50_000))
    for path in (version, picture):
        with files_of_at_most(20_000), pytest.raises(DiskFullError):
            journal.keep(path)
        assert list((journal.folder / "files").iterdir()) == []
        kept = journal.kept(journal.keep(path))
        assert kept.name == path.name
        journal.drop(f"1/{path.name}")


def test_what_finds_no_room_waits_in_memory_and_keeps_its_place(
    tracking: TrackingSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run = SpooledRun.start(tracking, name="run", tags={})
    (journal,) = journals(tracking)
    picture = tmp_path / "curve.png"
    picture.write_bytes(bytes(50_000))
    run.log_metrics({"loss": 0.5}, step=1)
    with files_of_at_most(journal.size() + 10):
        run.log_metrics({"loss": 0.25}, step=2)
        run.log_json({"threshold": 0.4}, "point.json")
        run.log_file(picture, "pictures")
        run.log_metrics({"loss": 0.125}, step=3)
        assert run.holds_back
        assert [one["kind"] for one in said(journal)] == ["end", "metrics"]
    assert caplog.text.count("waits in memory") == 1
    run.tag("colour", "blue")
    assert not run.holds_back
    assert "there is room again" in caplog.text
    entries = said(journal)
    assert [one["kind"] for one in entries] == [
        "end", "metrics", "metrics", "artifact", "artifact", "metrics", "tag",
    ]  # fmt: skip
    assert [one["values"] for one in entries if one["kind"] == "metrics"] == [
        [["loss", 0.5]], [["loss", 0.25]], [["loss", 0.125]],
    ]  # fmt: skip
    assert journal.kept(str(entries[3]["file"])).read_text() == '{\n  "threshold": 0.4\n}\n'
    assert journal.kept(str(entries[4]["file"])).read_bytes() == bytes(50_000)
    run.close()


def test_a_version_that_finds_no_room_is_the_users_to_mend_and_can_be_given_again(
    tracking: TrackingSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = SpooledRun.start(tracking, name="run", tags={})
    version = tmp_path / "version"
    version.mkdir()
    (version / "weights.safetensors").write_bytes(bytes(50_000))
    with files_of_at_most(20_000), pytest.raises(DiskFullError, match="no file may grow"):
        run.register(version, number_to=[])
    assert run.register(version, number_to=[]) is None  # the server is away
    (journal,) = journals(tracking)
    assert [one["kind"] for one in said(journal)] == ["end", "model version"]
    with files_of_at_most(10):
        run.finish()
        run.close()
    assert "1 entries are not recorded" in caplog.text


def test_the_log_says_that_it_is_the_disk_and_not_what_sqlalchemy_says_around_it() -> None:
    said = "(raised as a result of autoflush)\n(sqlite3.OperationalError) database or disk is full"
    assert first_line(RuntimeError(said)) == "database or disk is full"
    assert first_line(RuntimeError("first\nsecond")) == "first"


def test_a_store_that_finds_no_room_says_so_and_leaves_no_half_made_database(
    tmp_path: Path,
) -> None:
    tracking = TrackingSettings(folder=tmp_path, experiment="full")
    with (
        files_of_at_most(30_000),
        pytest.raises(OutputError, match=r"mlflow\.db: the database can"),
    ):
        connect(tracking)
    assert [one.name for one in tmp_path.iterdir() if "mlflow.db" in one.name] == []
