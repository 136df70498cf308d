"""The journal of one run: lines that are only ever appended, and the files that they name.

A folder holds ``header.json`` (which run, whose process), ``journal.jsonl`` (one entry a line, in
the order in which things happened), ``files/`` (copies, so that what is logged cannot change
before it is sent) and ``delivered.json`` (up to which byte the store has taken the journal). A
line that a killed process left half-written is no entry.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from lesion_dynamics.atomic_files import translated_disk_errors, write_json
from lesion_dynamics.records.spool.owner import Owner

HEADER_FILE = "header.json"
_JOURNAL_FILE = "journal.jsonl"
_DELIVERED_FILE = "delivered.json"
_FILES = "files"
END = "end"
"""Kind of the entry that holds a run's state: FINISHED, FAILED, KILLED, or RUNNING again."""


class Journal:
    """The journal in ``folder``. One process writes; one delivers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / _JOURNAL_FILE

    @property
    def spool_id(self) -> str:
        """Name of the run until the store gives it one, and a tag of it afterwards."""
        return self.folder.name

    def open(self, header: Mapping[str, Any]) -> None:
        """Begin, or go on as this process; half a line at the end is cut off."""
        write_json(self.folder / HEADER_FILE, {**header, "owner": Owner.here().as_json()})
        with translated_disk_errors(self._path):
            self._path.touch()
        whole = self.size()
        if whole != self._path.stat().st_size:
            os.truncate(self._path, whole)

    def exists(self) -> bool:
        """Whether a journal has been opened here."""
        return (self.folder / HEADER_FILE).is_file()

    def header(self) -> dict[str, Any]:
        """What `open` was given, with the process as ``owner``."""
        said: dict[str, Any] = json.loads((self.folder / HEADER_FILE).read_text(encoding="utf-8"))
        return said

    def owner(self) -> Owner:
        """The process that wrote last."""
        return Owner.of(self.header()["owner"])

    def append(self, kind: str, content: Mapping[str, Any]) -> int:
        """Add an entry and return the byte at which it ends; it is on disk then.

        Raises
        ------
        DiskFullError : the disk is full; the journal is as it was.
        """
        line = (json.dumps({"kind": kind, **content}, allow_nan=False) + "\n").encode("utf-8")
        with translated_disk_errors(self._path), self._path.open("ab", buffering=0) as file:
            begin = file.tell()
            try:
                if file.write(line) != len(line):  # what fits is written before the disk is full
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except BaseException:
                # The next entry must not be written behind half of this one.
                file.truncate(begin)
                raise
            return begin + len(line)

    def keep(self, path: Path) -> str:
        """Copy a file, or the files of a folder, in; the name below ``files/`` for an entry.

        Raises
        ------
        DiskFullError : the disk is full; nothing of it is kept.
        """
        return self._put(path.name, _copy_files if path.is_dir() else shutil.copyfile, path)

    def keep_text(self, name: str, text: str) -> str:
        """As `keep`, for a file ``name`` that holds ``text``."""
        return self._put(name, lambda _, target: target.write_text(text, encoding="utf-8"), None)

    def _put(self, name: str, copy: Callable[[Any, Path], object], source: Path | None) -> str:
        place = self.folder / _FILES
        with translated_disk_errors(place):
            place.mkdir(parents=True, exist_ok=True)
            number = 1 + max((int(one.name) for one in place.iterdir()), default=0)
            target = place / str(number) / name
            try:
                target.parent.mkdir()
                copy(source, target)
            except BaseException:
                shutil.rmtree(target.parent, ignore_errors=True)
                raise
        return str(target.relative_to(place))

    def kept(self, name: str) -> Path:
        """The file or folder of `keep`."""
        return self.folder / _FILES / name

    def drop(self, name: str) -> None:
        """Delete what the store has taken."""
        shutil.rmtree(self.kept(name).parent, ignore_errors=True)

    def size(self) -> int:
        """Bytes of all whole entries."""
        content = self._path.read_bytes() if self._path.is_file() else b""
        return content.rfind(b"\n") + 1

    def entries(self, start: int = 0) -> list[tuple[dict[str, Any], int]]:
        """Entries from byte ``start`` on, each with the byte at which it ends."""
        if not self._path.is_file():
            return []
        with self._path.open("rb") as file:
            file.seek(start)
            content = file.read()
        found, end = [], start
        for line in content[: content.rfind(b"\n") + 1].splitlines(keepends=True):
            end += len(line)
            found.append((json.loads(line), end))
        return found

    def state(self) -> str:
        """The run's state as the journal says it."""
        states = [entry["status"] for entry, _ in self.entries() if entry["kind"] == END]
        return str(states[-1]) if states else "RUNNING"

    def delivered(self) -> dict[str, Any]:
        """``offset`` in bytes; ``run_id`` and ``number`` once the store has given them."""
        try:
            text = (self.folder / _DELIVERED_FILE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return {"offset": 0, "run_id": None, "number": None}
        said: dict[str, Any] = json.loads(text)
        return said

    def acknowledge(self, state: Mapping[str, Any]) -> None:
        """Record what the store has taken."""
        write_json(self.folder / _DELIVERED_FILE, dict(state))

    def waits(self) -> bool:
        """Whether something has not been delivered."""
        return int(self.delivered()["offset"]) < self.size()

    def remove(self) -> None:
        """Delete the folder: all is delivered, and the run is over. The header goes first."""
        (self.folder / HEADER_FILE).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def _copy_files(folder: Path, target: Path) -> None:
    """The files of a folder; shutil.copytree would hide why it failed."""
    target.mkdir()
    for one in sorted(folder.iterdir()):
        if one.is_file():
            shutil.copyfile(one, target / one.name)


def lock_for_delivery(journal: Journal) -> IO[str] | None:
    """The right to deliver this journal, until the file is closed; None if another has it."""
    path = journal.folder / "delivering.lock"
    with translated_disk_errors(path):
        lock = path.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock
