"""Results of expensive steps on disk, found again by the hash of all that they come from.

An entry is one file: the SHA-256 of its content on the first line, then arrays as numpy writes
them. It appears whole or not at all, so processes never wait for each other: two that compute
the same result write the same bytes. An entry whose hash does not fit is computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.atomic_files import (
    hash_of_content,
    is_unfinished,
    partial_prefix,
    remove_abandoned,
    require_writable_folder,
)
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.settings.cache import CacheSettings
from lesion_dynamics.source_hash import hash_of_source

_LOG = logging.getLogger(__name__)
_SUFFIX = ".entry"

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class StepCache:
    """A folder of results, one subfolder a step.

    folder : is made when the first result is kept.
    """

    folder: Path

    def arrays(self, step: str, key: str, make: Callable[[], Arrays]) -> Arrays:
        """The result under ``key``, or what ``make`` gives, which is then kept.

        A result that cannot be kept (a full disk) is returned all the same.
        """
        path = self.folder / step / f"{key}{_SUFFIX}"
        found = _read(path)
        if found is not None:
            return found
        made = make()
        _keep(path, made)
        return made


def open_cache(settings: CacheSettings) -> StepCache | None:
    """The cache that the settings name, made fit for use; None where nothing is kept.

    Raises
    ------
    OutputError : the folder cannot be written.
    """
    if settings.folder is None:
        return None
    require_writable_folder(settings.folder)
    trim(settings)
    return StepCache(settings.folder.resolve())


def trim(settings: CacheSettings) -> int:
    """Remove what unfinished writers left, and the entries used longest ago above the bound.

    Returns
    -------
    Bytes that the entries hold afterwards.
    """
    if settings.folder is None:
        return 0
    remove_abandoned(settings.folder)
    entries = []
    for path in _entries(settings.folder):
        try:
            status = path.stat()
        except OSError:  # another process removed it
            continue
        entries.append((status.st_mtime_ns, status.st_size, path))
    held = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if held <= settings.largest_gb * 1e9:
            break
        path.unlink(missing_ok=True)
        held -= size
    return held


def _entries(folder: Path) -> Iterator[Path]:
    """Every entry; folders that other processes remove meanwhile have none."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_unfinished(Path(name))]
        yield from (Path(parent) / name for name in names if name.endswith(_SUFFIX))


def key_of(source: tuple[str, ...], **parts: Image | NDArray[Any] | str | float | bool) -> str:
    """Hash of the code (as :func:`hash_of_source` names it), the images, matrices and values."""
    hashed = {
        name: value if isinstance(value, str | float | bool) else fingerprint(value)
        for name, value in parts.items()
    }
    return hash_of_content({"source": hash_of_source(*source), "parts": hashed})


def fingerprint(value: Image | NDArray[Any]) -> str:
    """SHA-256 of an array's type, shape and values, and of an image's affine as well."""
    digest = hashlib.sha256()
    arrays = (value.voxels, value.affine) if isinstance(value, Image) else (value,)
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        # Fortran order is how NIfTI files are read: no copy for those.
        digest.update(np.ascontiguousarray(array.ravel(order="F")).data)
    return digest.hexdigest()


def _read(path: Path) -> dict[str, NDArray[Any]] | None:
    try:
        promised, _, content = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        _LOG.warning("a kept result cannot be read and is computed again: %s", error)
        return None
    if hashlib.sha256(content).hexdigest().encode() != promised:
        _LOG.warning("a damaged result is computed again: %s", path)
        return None
    with contextlib.suppress(OSError):  # a cache that may only be read
        os.utime(path)  # used just now: the last to be removed
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _keep(path: Path, arrays: Arrays) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    content = buffer.getvalue()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=partial_prefix(), dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
            # Not forced onto the disk: after a power cut the hash tells, and nothing is lost.
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        _LOG.warning("a result could not be kept for later: %s", error)
