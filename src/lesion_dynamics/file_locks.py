"""Locks of the operating system (flock) on files: they end with their process, however it ended."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK_FILE = ".lock"
"""Name of the file in a folder whose lock says that a process uses the folder."""
_LOG = logging.getLogger(__name__)


@contextmanager
def in_turn(path: Path, *, waiting_for: str) -> Iterator[None]:
    """Run the block when no other process holds ``path``, an empty file that stays.

    waiting_for : what is said if that must be waited for. On a filesystem without locks a warning
    is given and the block runs at once.

    Raises
    ------
    OSError : the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _LOG.info("waiting for another process: %s", waiting_for)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            _LOG.warning("%s: this filesystem has no locks", path.parent)
        yield
    finally:
        os.close(descriptor)


def take(path: Path) -> int:
    """Make the file and hold it until the descriptor is closed, where the filesystem has locks.

    Raises
    ------
    OSError : the file cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # `is_held` may have it for an instant
    return descriptor


def is_held(path: Path) -> bool:
    """Whether a process holds the file; False also where that cannot be asked."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
