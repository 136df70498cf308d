"""One process at a time writes into an output folder.

The lock is the operating system's (flock): it ends with the process that holds it, however that
ended, so nothing stale is ever left. The lock file says who holds it, for the error message
alone; it is gone when the folder is free.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from lesion_dynamics.atomic_files import remove_abandoned, translated_disk_errors
from lesion_dynamics.errors import OutputError
from lesion_dynamics.file_locks import LOCK_FILE

_LOG = logging.getLogger(__name__)
_NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold ``folder`` while the block runs; before and after, remove what killed processes left.

    On a filesystem without locks a warning is given and the block runs all the same.

    Raises
    ------
    OutputError : another process holds it, or the folder cannot be written.
    """
    path = folder / LOCK_FILE
    with translated_disk_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(path)
    try:
        remove_abandoned(folder)
        yield
    finally:
        with suppress(OSError):
            remove_abandoned(folder)  # of workers that died while the others went on
        if descriptor is not None:
            # While it is still held: whoever opened it meanwhile sees that it is another file.
            with suppress(OSError):
                path.unlink()
            os.close(descriptor)


def _locked(path: Path) -> int | None:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, _who().encode())
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise _held(path) from None
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _NO_LOCKS_HERE:
                raise
            path.unlink(missing_ok=True)
            _LOG.warning(
                "%s: this filesystem has no locks; start no second inference into it", path.parent
            )
            return None
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the locked file is the one that others will open, not one just removed."""
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _who() -> str:
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    return json.dumps({"process": os.getpid(), "computer": platform.node(), "since": now}) + "\n"


def _held(path: Path) -> OutputError:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        who = f"process {said['process']} on {said['computer']}, since {said['since']}"
        end = f"or end it (kill {said['process']} on {said['computer']})"
    except (OSError, ValueError, KeyError, TypeError):  # it has only just begun
        who, end = "another process", "or end it"
    return OutputError(
        f"{who} is writing into this folder",
        where=path.parent,
        remedy=f"Wait for it, {end}; or choose another output.",
    )
