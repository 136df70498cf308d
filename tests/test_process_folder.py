"""A folder of one process: nobody else's while it lives, gone when it does not."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lesion_dynamics import process_folder as module
from lesion_dynamics.atomic_files import partial_prefix, remove_abandoned
from lesion_dynamics.errors import OutputError
from lesion_dynamics.file_locks import LOCK_FILE, in_turn, is_held
from lesion_dynamics.process_folder import process_folder

USE = """
import sys
from pathlib import Path
from lesion_dynamics.process_folder import process_folder
with process_folder(Path(sys.argv[1]), "x.parts") as folder:
    (folder / "scan").write_bytes(b"scan")
    print(folder, flush=True)
    sys.stdin.read()
"""
YESTERDAY = time.time() - 86400


def in_use(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", USE, str(parent)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def as_of_another_computer(folder: Path) -> Path:
    """Under a name whose process cannot be asked."""
    _, _, number = folder.name.removeprefix(".partial-").partition("-")
    return folder.rename(folder.with_name(f".partial-00000000-{number}"))


def test_every_block_has_its_own_folder_and_leaves_nothing(tmp_path: Path) -> None:
    with process_folder(tmp_path / "new", "x") as one, process_folder(tmp_path / "new", "x") as two:
        assert one != two
        (one / "scan").write_bytes(b"scan")
    assert list((tmp_path / "new").iterdir()) == []


def test_what_a_killed_process_left_goes_and_a_living_ones_stays(tmp_path: Path) -> None:
    first, folder = in_use(tmp_path)
    with process_folder(tmp_path, "x.parts"):
        assert (folder / "scan").read_bytes() == b"scan"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert folder.is_dir()  # it had no time to tidy up
    with process_folder(tmp_path, "x.parts") as own:
        assert list(tmp_path.iterdir()) == [own]


def test_a_suspended_process_keeps_its_folder_whatever_its_name_and_age_say(
    tmp_path: Path,
) -> None:
    process, folder = in_use(tmp_path)
    process.send_signal(signal.SIGSTOP)
    try:
        # Of another computer and untouched since yesterday: by these two signs abandoned.
        folder = as_of_another_computer(folder)
        os.utime(folder, (YESTERDAY, YESTERDAY))
        assert remove_abandoned(tmp_path) == 0
        assert (folder / "scan").is_file()
    finally:
        process.kill()
        process.communicate()
    assert remove_abandoned(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_another_computer_goes_an_hour_after_its_last_sign_of_life(
    tmp_path: Path,
) -> None:
    folder = tmp_path / ".partial-00000000-1-abc-x.parts"
    folder.mkdir()
    (folder / LOCK_FILE).touch()
    assert remove_abandoned(tmp_path) == 0
    os.utime(folder, (YESTERDAY, YESTERDAY))
    assert remove_abandoned(tmp_path) == 1


def test_a_folder_in_use_is_renewed_for_those_who_do_not_see_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed, real = threading.Event(), os.utime

    def utime(path: Path) -> None:
        real(path)
        renewed.set()

    monkeypatch.setattr(module, "_RENEWED_SECONDS", 0.001)
    monkeypatch.setattr(module.os, "utime", utime)
    monkeypatch.setattr(module, "take", lambda path: os.open(path, os.O_RDWR | os.O_CREAT))
    with process_folder(tmp_path, "x") as folder:
        real(folder, (YESTERDAY, YESTERDAY))
        for _ in range(2):  # the first may have begun before
            renewed.clear()
            assert renewed.wait(10)
        assert remove_abandoned(tmp_path) == 0
        assert time.time() - folder.stat().st_mtime < 3600


def test_where_nothing_can_be_made_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        process_folder(tmp_path / "file", "x").__enter__()


def test_one_at_a_time_and_the_next_when_the_first_is_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, said = tmp_path / "new/x.lock", []
    waits = threading.Event()
    real = fcntl.flock

    def second() -> None:
        with in_turn(path, waiting_for="it copies"):
            said.append("second")

    def flock(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX:
            waits.set()
        real(descriptor, operation)

    with pytest.MonkeyPatch.context() as patch, caplog.at_level("INFO"):
        patch.setattr(fcntl, "flock", flock)
        with in_turn(path, waiting_for="it copies"):
            assert is_held(path)
            thread = threading.Thread(target=second)
            thread.start()
            assert waits.wait(10)
            said.append("first")
        thread.join()
    assert said == ["first", "second"]
    assert "waiting for another process: it copies" in caplog.text
    assert not is_held(path)


def test_a_filesystem_without_locks_is_said_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with in_turn(tmp_path / "x.lock", waiting_for="it copies"):
        assert "no locks" in caplog.text
    with process_folder(tmp_path, "x") as folder:
        assert not is_held(folder / LOCK_FILE)
        assert partial_prefix() in folder.name
        assert remove_abandoned(tmp_path) == 0
