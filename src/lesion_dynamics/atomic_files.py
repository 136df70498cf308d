"""Files that are either whole or absent, and hashes of what they hold.

A file appears under its final name only after all its bytes are on disk, so an
interruption never leaves half a file where a later run would trust it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lesion_dynamics.errors import DiskFullError, OutputError
from lesion_dynamics.file_locks import LOCK_FILE, is_held

_NO_SPACE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "no file may grow this large here (ulimit -f, or the kind of disk)",
}
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
_DEFAULT_FILE_MODE = 0o644
_PARTIAL = ".partial-"
_WRITER = re.compile(re.escape(_PARTIAL) + r"([0-9a-f]{8})-([0-9]{1,9})-")
_ABANDONED_SECONDS = 3600.0


@contextmanager
def replacing(path: Path, *, needed_bytes: int | None = None) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there when the block succeeds.

    needed_bytes : size of the new file, where it is known beforehand, for the message.

    Raises
    ------
    DiskFullError : the disk is full. The file that was there before is as it was.
    OutputError : the folder cannot be written.
    """
    with translated_disk_errors(path, needed_bytes=needed_bytes):
        temporary = _new_file_beside(path)
        try:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            # mkstemp makes files private; what we publish follows the usual mode.
            temporary.chmod(_DEFAULT_FILE_MODE)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def translated_disk_errors(path: Path, *, needed_bytes: int | None = None) -> Iterator[None]:
    """Turn a full disk or a folder that cannot be written into an `OutputError` about ``path``."""
    try:
        yield
    except OSError as error:
        raise _as_output_error(error, path, needed_bytes) from error


def _new_file_beside(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=partial_prefix(), suffix=f"-{path.name}", dir=path.parent
        )
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise
        # Whatever the system calls it: nothing can be made here.
        raise _not_writable(path) from error
    os.close(handle)
    return Path(name)


def partial_prefix() -> str:
    """How the name of every unfinished file begins; it names this computer and this process."""
    return f"{_PARTIAL}{_this_host()}-{os.getpid()}-"


def remove_abandoned(folder: Path) -> int:
    """Remove unfinished files and folders below ``folder`` that nobody writes any more.

    Returns how many there were. A file is abandoned when its name says that a process of this
    computer began it which is gone, or when it was last written an hour ago (of another computer
    no process can be asked). A folder whose lock is held is never abandoned. What a running
    process writes is left alone, so this may be called beside one.
    """
    removed = 0
    for parent, folders, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            if name.startswith(_PARTIAL) and _is_abandoned(path):
                path.unlink(missing_ok=True)
                removed += 1
        for name in [one for one in folders if one.startswith(_PARTIAL)]:
            folders.remove(name)
            if _is_abandoned(Path(parent) / name):
                shutil.rmtree(Path(parent) / name, ignore_errors=True)
                removed += 1
    return removed


def is_unfinished(path: Path) -> bool:
    """Whether a path has the name of an unfinished file, or lies in such a folder."""
    return any(part.startswith(_PARTIAL) for part in path.parts)


def _is_abandoned(path: Path) -> bool:
    if is_held(path / LOCK_FILE):  # of a folder; a file has none in it
        return False
    writer = _WRITER.match(path.name)
    if writer is not None and writer[1] == _this_host() and not process_runs(int(writer[2])):
        return True
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
    except FileNotFoundError:  # finished, or removed by another process
        return False


def process_runs(pid: int) -> bool:
    """Whether a process with this number runs on this computer, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _this_host() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _not_writable(path: Path) -> OutputError:
    return OutputError(
        "this folder cannot be written",
        where=path.parent,
        remedy="Choose another output folder or change its permissions.",
    )


def disk_full(
    path: Path, *, needed_bytes: int | None = None, why: int = errno.ENOSPC
) -> DiskFullError:
    """What to raise when ``path`` did not fit: says how much is free there, and needed."""
    free = shutil.disk_usage(next(one for one in (path, *path.parents) if one.exists())).free
    needed = "" if needed_bytes is None else f", {_megabytes(needed_bytes)} needed for this file"
    room = f"{_megabytes(free)} free{needed}"
    remedy = "Free some space and start the same command again: it goes on from here."
    if why == errno.ENOSPC:
        return DiskFullError(
            f"the disk is full; nothing was half-written ({room})", where=path, remedy=remedy
        )
    return DiskFullError(
        f"{_NO_SPACE[why]}; nothing was half-written ({room})", where=path, remedy=remedy
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _as_output_error(error: OSError, path: Path, needed_bytes: int | None) -> Exception:
    if error.errno in _NO_SPACE:
        return disk_full(path.absolute(), needed_bytes=needed_bytes, why=error.errno)
    if error.errno in _NOT_WRITABLE:
        return _not_writable(path)
    return error


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, atomically."""
    with replacing(path, needed_bytes=len(content)) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write ``content`` to ``path`` as UTF-8, atomically."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` to ``path`` as readable JSON with sorted keys, atomically."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def require_writable_folder(folder: Path) -> None:
    """Raise `OutputError` now, not after an hour of work, if ``folder`` cannot be written."""
    path = folder / "test"
    with translated_disk_errors(path):
        _new_file_beside(path).unlink()


def hash_of_file(path: Path) -> str:
    """SHA-256 of the bytes of ``path``, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_of_content(content: Any) -> str:
    """SHA-256 of JSON-serialisable ``content`` in a canonical form."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
