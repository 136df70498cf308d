"""SHA-256 of files that are asked for again and again, without reading unchanged ones again.

A kept hash stands for a file only while its size, its times of modification and of status change
(which no program can set) and its inode are those it had when it was hashed, and only if it had
lain unchanged for some seconds then: what is written within the clock's resolution could keep its
times. In any doubt the file is read. The index lies in the cache folder, not beside outputs: it
speaks of this computer alone. Files in a folder that goes with its process are not kept in it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from lesion_dynamics.atomic_files import hash_of_file, is_unfinished

INDEX_FILE = "file_hashes.sqlite"
_LOG = logging.getLogger(__name__)
_TABLE = "files_v1"
_SETTLED_NS = 3_000_000_000
_WAIT_SECONDS = 10.0
Mark = tuple[int, int, int, int]
"""Size, time of modification, time of status change, inode."""


class FileHashes:
    """Hashes by path; `of` may be called from several threads.

    Parameters
    ----------
    folder : of the cache; None: every file is read.
    """

    def __init__(self, folder: Path | None) -> None:
        self._index = None if folder is None else folder / INDEX_FILE
        self._known: dict[str, tuple[Mark, str]] = {}
        self._new: dict[str, tuple[Mark, str]] = {}
        if self._index is not None and self._index.is_file():
            self._known = _read(self._index)

    def of(self, path: Path) -> str:
        """SHA-256 of the bytes of ``path``.

        Raises
        ------
        OSError : it cannot be read.
        """
        name = os.path.abspath(path)  # noqa: PTH100  a link is not followed
        before = _mark(path)
        known = self._known.get(name)
        if known is not None and known[0] == before:
            return known[1]
        found = hash_of_file(path)
        settled = time.time_ns() - max(before[1], before[2]) > _SETTLED_NS
        if settled and _mark(path) == before:
            self._known[name] = (before, found)
            if not is_unfinished(Path(name)):  # no other run will find it under this name
                self._new[name] = (before, found)
        return found

    def keep(self) -> None:
        """Write what is new; where that cannot be done, files are read again next time."""
        if self._index is None or not self._new:
            return
        rows = [(name, *mark, sha256) for name, (mark, sha256) in self._new.items()]
        try:
            self._index.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._index, timeout=_WAIT_SECONDS)) as base, base:
                base.execute(
                    f"create table if not exists {_TABLE} (path text primary key, size integer,"
                    " modified_ns integer, changed_ns integer, inode integer, sha256 text)"
                )
                base.executemany(
                    f"insert or replace into {_TABLE} values (?, ?, ?, ?, ?, ?)",  # noqa: S608
                    rows,
                )
        except (OSError, sqlite3.Error) as error:
            _LOG.warning("hashes of files could not be kept for later: %s", error)
            return
        self._new.clear()


def _mark(path: Path) -> Mark:
    status = path.stat()
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _read(index: Path) -> dict[str, tuple[Mark, str]]:
    try:
        with closing(sqlite3.connect(index, timeout=_WAIT_SECONDS)) as base:
            rows = base.execute(f"select * from {_TABLE}").fetchall()  # noqa: S608
    except sqlite3.Error as error:
        _LOG.warning("kept hashes of files cannot be read; all files are read again: %s", error)
        # Being written by another process just now is no damage, and removing it then would be.
        if not isinstance(error, sqlite3.OperationalError):
            index.unlink(missing_ok=True)
        return {}
    return {row[0]: ((row[1], row[2], row[3], row[4]), row[5]) for row in rows}
