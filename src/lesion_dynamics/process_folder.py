"""A folder that one process fills and reads for hours, on a disk that others may share.

Its name is that of an unfinished file: what a killed process leaves is removed by the next one
that cleans up there (`remove_abandoned`). That it is in use is said twice, since no sign alone
reaches everywhere: by a lock in it, which also stands for a process that is suspended, and by its
time of modification, which is renewed for computers and filesystems that do not see the lock.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lesion_dynamics.atomic_files import (
    partial_prefix,
    remove_abandoned,
    require_writable_folder,
    translated_disk_errors,
)
from lesion_dynamics.file_locks import LOCK_FILE, take

_RENEWED_SECONDS = 300.0
"""Far below the hour after which `remove_abandoned` gives a folder up."""


@contextmanager
def process_folder(parent: Path, name: str) -> Iterator[Path]:
    """A new folder in ``parent``, of this block alone; gone afterwards with all that is in it.

    name : how its name ends. What killed processes left in ``parent`` is removed first.

    Raises
    ------
    OutputError : it cannot be made.
    """
    require_writable_folder(parent)
    remove_abandoned(parent)
    with translated_disk_errors(parent / name):
        folder = Path(tempfile.mkdtemp(prefix=partial_prefix(), suffix=f"-{name}", dir=parent))
        held = take(folder / LOCK_FILE)
    over = threading.Event()
    renewing = threading.Thread(target=_renewed, args=(folder, over), daemon=True)
    renewing.start()
    try:
        yield folder
    finally:
        over.set()
        renewing.join()
        os.close(held)  # before: NFS keeps an open file, and the folder with it
        shutil.rmtree(folder, ignore_errors=True)


def _renewed(folder: Path, over: threading.Event) -> None:
    while not over.wait(_RENEWED_SECONDS):
        with suppress(OSError):
            os.utime(folder)
