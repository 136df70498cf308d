"""Files that are either whole or absent, and hashes of what they hold.

A file appears under its final name only after all its bytes are on disk, so an
interruption never leaves half a file where a later run would trust it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lesion_dynamics.errors import OutputError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
_DEFAULT_FILE_MODE = 0o644


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there when the block succeeds.

    Raises
    ------
    OutputError : the disk is full, or the folder cannot be written.
    """
    with translated_disk_errors(path):
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
def translated_disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a folder that cannot be written into an `OutputError` about ``path``."""
    try:
        yield
    except OSError as error:
        raise _as_output_error(error, path) from error


def _new_file_beside(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".partial-", suffix=path.name, dir=path.parent)
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise
        # Whatever the system calls it: nothing can be made here.
        raise _not_writable(path) from error
    os.close(handle)
    return Path(name)


def _not_writable(path: Path) -> OutputError:
    return OutputError(
        "this folder cannot be written",
        where=path.parent,
        remedy="Choose another output folder or change its permissions.",
    )


def _as_output_error(error: OSError, path: Path) -> Exception:
    if error.errno in _NO_SPACE:
        return OutputError(
            "the disk is full; nothing was half-written",
            where=path,
            remedy="Free some space and start the same command again: it goes on from here.",
        )
    if error.errno in _NOT_WRITABLE:
        return _not_writable(path)
    return error


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write ``content`` to ``path`` as UTF-8, atomically."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` to ``path`` as readable JSON with sorted keys, atomically."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def require_writable_folder(folder: Path) -> None:
    """Raise `OutputError` now, not after an hour of work, if ``folder`` cannot be written."""
    with replacing(folder / ".write-test") as temporary:
        temporary.write_bytes(b"")
    (folder / ".write-test").unlink(missing_ok=True)


def hash_of_file(path: Path) -> str:
    """SHA-256 of the bytes of ``path``, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_of_content(content: Any) -> str:
    """SHA-256 of JSON-serialisable ``content`` in a canonical form."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
