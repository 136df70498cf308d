"""One writer a folder: a second is refused by name, a killed one leaves the folder free."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lesion_dynamics import output_lock
from lesion_dynamics.atomic_files import partial_prefix
from lesion_dynamics.errors import OutputError
from lesion_dynamics.output_lock import sole_writer

HOLD = """
import sys
from pathlib import Path
from lesion_dynamics.atomic_files import replacing
from lesion_dynamics.output_lock import sole_writer
with sole_writer(Path(sys.argv[1])), replacing(Path(sys.argv[1]) / "mask.nii.gz"):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_writer_is_told_who_is_at_work_and_a_killed_one_is_taken_over(
    tmp_path: Path,
) -> None:
    first = holder(tmp_path)
    with pytest.raises(OutputError, match=f"process {first.pid} on .* is writing into this folder"):
        sole_writer(tmp_path).__enter__()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert sorted(p.name[:9] for p in tmp_path.iterdir()) == [".lock", ".partial-"]
    with sole_writer(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["process"] == os.getpid()
        assert [p.name for p in tmp_path.iterdir()] == [".lock"]  # its half file is gone
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fails", [False, True])
def test_half_a_file_of_a_worker_that_died_meanwhile_is_gone_at_the_end(
    tmp_path: Path, fails: bool
) -> None:
    worker = subprocess.Popen([sys.executable, "-c", ""])
    worker.wait()
    anat = tmp_path / "sub-a/anat"
    anat.mkdir(parents=True)
    own = partial_prefix()
    died = own.replace(f"-{os.getpid()}-", f"-{worker.pid}-")
    assert died != own
    try:
        with sole_writer(tmp_path):
            for name in (f"{died}mask", f"{own}mask", "mask"):
                (anat / name).write_bytes(b"half")
            if fails:
                raise OutputError("no", where=anat, remedy="no")
    except OutputError:
        assert fails
    # What a process that runs is writing is not ours to remove.
    assert sorted(path.name for path in anat.iterdir()) == sorted([f"{own}mask", "mask"])


def test_a_lock_file_removed_between_opening_and_locking_is_not_taken_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = output_lock.fcntl.flock
    removed: list[int] = []

    def flock(descriptor: int, operation: int) -> None:
        if not removed:  # the holder lets go just now
            (tmp_path / ".lock").unlink()
            removed.append(descriptor)
        lock(descriptor, operation)

    monkeypatch.setattr(output_lock.fcntl, "flock", flock)
    with sole_writer(tmp_path):
        monkeypatch.undo()
        with pytest.raises(OutputError, match="is writing"):
            sole_writer(tmp_path).__enter__()


def test_a_filesystem_without_locks_is_said_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(output_lock.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(output_lock.fcntl, "flock", flock)
    with sole_writer(tmp_path):
        assert list(tmp_path.iterdir()) == []
    assert "no locks" in caplog.text
