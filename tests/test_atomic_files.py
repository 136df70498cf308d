"""Files are whole or absent, and a full or read-only disk is said in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from tests.small_files import files_of_at_most

from lesion_dynamics import atomic_files
from lesion_dynamics.errors import DiskFullError, OutputError

is_root = hasattr(os, "geteuid") and os.geteuid() == 0


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    with atomic_files.replacing(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert names(tmp_path) == ["table.tsv"]


def write_half_and_stop(path: Path) -> None:
    with atomic_files.replacing(path) as temporary:
        temporary.write_text("half of the new")
        raise KeyboardInterrupt


def test_an_interruption_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_half_and_stop(path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["table.tsv"]


def write_more_than_fits(path: Path) -> None:
    with atomic_files.replacing(path), Path("/dev/full").open("wb") as full:
        full.write(b"0" * 100_000)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the disk is full"):
        write_more_than_fits(tmp_path / "mask.nii.gz")
    assert names(tmp_path) == []


def test_a_disk_that_fills_up_keeps_the_old_file_and_says_how_much_is_missing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"old")
    with (
        files_of_at_most(10_000),
        pytest.raises(DiskFullError, match=r"large here .* MB free, 3\.5 MB needed for this f"),
    ):
        atomic_files.write_bytes(path, bytes(3_500_000))
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["last.ckpt"]
    free = shutil.disk_usage(tmp_path).free / 1e6
    said = str(atomic_files.disk_full(tmp_path / "not" / "there"))
    assert float(said.split("(")[1].split(" MB")[0]) == pytest.approx(free, rel=0.01)


@pytest.mark.skipif(is_root, reason="root may write everywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written"):
        atomic_files.require_writable_folder(tmp_path)


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        atomic_files.require_writable_folder(tmp_path / "results")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc on this system")
def test_a_place_where_even_root_can_make_nothing_is_refused() -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        atomic_files.require_writable_folder(Path("/proc/lesions"))


def test_what_a_killed_process_left_is_removed_and_what_a_running_one_writes_is_not(
    tmp_path: Path,
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    own = atomic_files.partial_prefix()
    left = own.replace(f"-{os.getpid()}-", f"-{gone.pid}-")
    assert left != own
    (tmp_path / "sub").mkdir()
    for name in (f"{own}mask.nii.gz", f"sub/{left}mask.nii.gz", ".partial-00000000-1-x", "x.nii"):
        (tmp_path / name).write_bytes(b"half")
    assert atomic_files.remove_abandoned(tmp_path) == 1
    assert names(tmp_path) == sorted([f"{own}mask.nii.gz", ".partial-00000000-1-x", "sub", "x.nii"])
    assert names(tmp_path / "sub") == []
    yesterday = time.time() - 86400
    os.utime(tmp_path / ".partial-00000000-1-x", (yesterday, yesterday))
    assert atomic_files.remove_abandoned(tmp_path) == 1
    assert (tmp_path / f"{own}mask.nii.gz").exists()
    for name in (f"{own}scan", f"{left}scan"):
        (tmp_path / "sub" / name).mkdir()
        (tmp_path / "sub" / name / "channels.npy").write_bytes(b"half")
    assert atomic_files.remove_abandoned(tmp_path) == 1
    assert names(tmp_path / "sub") == [f"{own}scan"]


def test_a_writable_folder_stays_empty(tmp_path: Path) -> None:
    atomic_files.require_writable_folder(tmp_path / "new")
    assert names(tmp_path / "new") == []


def test_hashes_are_sha256_and_do_not_depend_on_the_order_of_keys(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, the SHA-256 of "abc".
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert atomic_files.hash_of_file(tmp_path / "abc") == expected
    first = atomic_files.hash_of_content({"a": 1, "b": [2, 3]})
    assert first == atomic_files.hash_of_content({"b": [2, 3], "a": 1})
    assert first != atomic_files.hash_of_content({"a": 1, "b": [3, 2]})


def test_json_refuses_what_json_cannot_say(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        atomic_files.write_json(tmp_path / "x.json", {"volume": float("nan")})
    assert names(tmp_path) == []
