"""Kept hashes stand only for files that have not been touched."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lesion_dynamics.atomic_files import partial_prefix
from lesion_dynamics.records import file_hashes
from lesion_dynamics.records.file_hashes import INDEX_FILE, FileHashes


@pytest.fixture
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose times lie some seconds back, as the clock is put forward."""
    path = tmp_path / "FLAIR.nii.gz"
    path.write_bytes(b"one")
    now = time.time_ns
    monkeypatch.setattr(file_hashes.time, "time_ns", lambda: now() + 10_000_000_000)
    return path


def kept(path: Path, cache: Path) -> None:
    hashes = FileHashes(cache)
    assert hashes.of(path) == hashlib.sha256(b"one").hexdigest()
    hashes.keep()


def refuse(path: Path) -> str:
    raise AssertionError(f"{path} is read again")


def test_an_unchanged_file_is_not_read_again(
    settled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(settled, tmp_path / "cache")
    monkeypatch.setattr(file_hashes, "hash_of_file", refuse)
    assert FileHashes(tmp_path / "cache").of(settled) == hashlib.sha256(b"one").hexdigest()
    with pytest.raises(AssertionError, match="read again"):
        FileHashes(None).of(settled)


def _same_size_and_modification_time(path: Path) -> None:
    times = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _another_file_in_its_place(path: Path) -> None:
    times = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"two")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [_same_size_and_modification_time, _another_file_in_its_place])
def test_a_changed_file_is_read_however_it_hides(
    settled: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    kept(settled, tmp_path / "cache")
    change(settled)
    assert FileHashes(tmp_path / "cache").of(settled) == hashlib.sha256(b"two").hexdigest()


def test_a_file_written_just_now_is_not_trusted_later(tmp_path: Path) -> None:
    path = tmp_path / "fresh"
    path.write_bytes(b"one")
    kept(path, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_damaged_index_costs_nothing_but_time(settled: Path, tmp_path: Path) -> None:
    kept(settled, tmp_path / "cache")
    (tmp_path / "cache" / INDEX_FILE).write_bytes(b"no database at all" * 100)
    kept(settled, tmp_path / "cache")
    assert FileHashes(tmp_path / "cache").of(settled) == hashlib.sha256(b"one").hexdigest()


def test_an_index_that_another_process_is_only_just_making_stays(tmp_path: Path) -> None:
    index = tmp_path / INDEX_FILE
    index.touch()  # a database without its table yet
    FileHashes(tmp_path)
    assert index.is_file()


def test_a_file_that_goes_with_its_process_is_hashed_and_not_kept(
    settled: Path, tmp_path: Path
) -> None:
    own = tmp_path / f"{partial_prefix()}x.parts/0/sub-a/FLAIR.nii.gz"
    own.parent.mkdir(parents=True)
    settled.rename(own)
    kept(own, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
