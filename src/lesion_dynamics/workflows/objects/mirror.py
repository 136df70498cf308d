"""A folder of an object store and its copy on this computer.

What is unchanged on both sides is not moved again: the index beside the copy holds, of every
file, the store's own mark of its content (the ETag) and the size and time of the copy. An object
store puts an object whole or not at all, so nobody ever reads half a file there; a download
appears under its name when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from lesion_dynamics.atomic_files import replacing, write_json
from lesion_dynamics.errors import CohortError, ConfigurationError, OutputError
from lesion_dynamics.file_locks import LOCK_FILE

_TRANSFERS = 8
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)")
_MD5 = re.compile(r"[0-9a-f]{32}")
_OWN = (".partial-", LOCK_FILE)
"""Beginnings of names that are of this computer alone."""


def is_remote(path: Path) -> bool:
    """Whether a path of the settings names a place in an object store."""
    return _URL.fullmatch(str(path)) is not None


def url_of(path: Path) -> str:
    """``s3://bucket/folder`` of what a path made of it."""
    found = _URL.fullmatch(str(path))
    assert found is not None, "only for remote paths"
    return f"{found[1]}://{found[2]}"


class StoredObject(NamedTuple):
    """mark : the store's own of the content. size : bytes."""

    mark: str
    size: int


class Mirror:
    """The copy of ``url`` in ``folder``.

    Raises
    ------
    ConfigurationError : nothing installed speaks the store's protocol.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self._store, self._base = _opened(url)
        self._index_file = folder.with_name(f"{folder.name}.objects.json")
        self._index: dict[str, list[Any]] = _read_index(self._index_file)

    def fetch(self, *, without: tuple[str, ...] = ()) -> int:
        """Bring the copy up to date; what is gone in the store goes here too. Files moved.

        without : top folders that are left where they are.

        Raises
        ------
        CohortError : the store does not answer, or gives other bytes than it says.
        """
        there = {
            name: one.mark
            for name, one in self.listing().items()
            if name.split("/")[0] not in without
        }
        return self.hold(there)

    def listing(self) -> dict[str, StoredObject]:
        """Every object of the store's folder, by its name below it.

        Raises
        ------
        CohortError : the store does not answer.
        """
        try:
            return self._listed()
        except OSError as error:
            raise _no_answer(self.url, error) from error

    def hold(self, there: Mapping[str, str]) -> int:
        """Have the objects with these names and marks here, and none other of the store's.

        What was made here and was never put into the store stays. Files moved.

        Raises
        ------
        CohortError : the store does not answer, or gives other bytes than it says.
        """
        due = [name for name, mark in there.items() if not self._is_current(name, mark)]
        try:
            with ThreadPoolExecutor(_TRANSFERS) as pool:
                list(pool.map(lambda name: self._download(name, there[name]), due))
        except OSError as error:
            raise _no_answer(self.url, error) from error
        for name in self._index.keys() - there.keys():
            (self.folder / name).unlink(missing_ok=True)  # what was never put there stays
        self._index = {name: entry for name, entry in self._index.items() if name in there}
        self._keep_index()
        return len(due)

    def marks_below(self, folder: str) -> dict[str, str]:
        """The store's marks of the files here that are in the store, below a top folder."""
        return {
            name: entry[0] for name, entry in self._index.items() if name.startswith(f"{folder}/")
        }

    def publish(self, paths: Iterable[Path]) -> int:
        """Put files of the copy into the store, in this order, where they differ. Files moved.

        Raises
        ------
        OutputError : the store does not take them.
        """
        moved = 0
        for path in paths:
            name = self._name_of(path)
            entry = self._index.get(name)
            if entry is not None and entry[1:] == _stat(path):
                continue
            try:
                self._store.put_file(str(path), f"{self._base}/{name}")
                self._index[name] = [_mark(self._store.info(f"{self._base}/{name}")), *_stat(path)]
            except OSError as error:
                raise OutputError(
                    f"the object store does not take this file ({_said(error)})",
                    where=f"{self.url}/{name}",
                    remedy="Start the same command again when it does: what is done is kept.",
                ) from error
            moved += 1
        if moved:
            self._keep_index()
        return moved

    def publish_all(self, *, last: Callable[[Path], Any]) -> int:
        """Put everything that differs, ordered by ``last``; remove what is gone here."""
        moved = self.publish(sorted(self._files(), key=last))
        kept = {self._name_of(path) for path in self._files()}
        for name in sorted(set(self._index) - kept):
            try:
                self._store.rm_file(f"{self._base}/{name}")
            except FileNotFoundError:
                pass
            except OSError as error:
                raise _no_answer(self.url, error) from error
            del self._index[name]
        self._keep_index()
        return moved

    def _listed(self) -> dict[str, StoredObject]:
        try:
            found = self._store.find(self._base, detail=True)
        except FileNotFoundError:
            return {}
        names = {info["name"].removeprefix(self._base).strip("/"): info for info in found.values()}
        for name in names:
            if not name or ".." in PurePosixPath(name).parts:
                raise OSError(f"an object has the name {name!a}")
        return {name: StoredObject(_mark(info), int(info["size"])) for name, info in names.items()}

    def _is_current(self, name: str, mark: str) -> bool:
        entry = self._index.get(name)
        path = self.folder / name
        return entry is not None and path.is_file() and entry == [mark, *_stat(path)]

    def _download(self, name: str, mark: str) -> None:
        path = self.folder / name
        with replacing(path) as temporary:
            self._store.get_file(f"{self._base}/{name}", str(temporary))
            if _MD5.fullmatch(mark) and _md5(temporary) != mark:
                raise OSError(f"{name} came with other bytes than the store says")
        self._index[name] = [mark, *_stat(path)]

    def _files(self) -> list[Path]:
        return [
            path
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not path.name.startswith(_OWN)
        ]

    def _name_of(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _keep_index(self) -> None:
        write_json(self._index_file, self._index)


def _opened(url: str) -> tuple[Any, str]:
    import fsspec  # type: ignore[import-untyped]

    try:
        store, base = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"nothing installed here speaks this protocol ({_said(error)})",
            where=url,
            remedy="For s3:// install it with pip install 'lesion-dynamics[s3]'.",
        ) from None
    return store, str(base).rstrip("/")


def _read_index(path: Path) -> dict[str, list[Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _mark(info: dict[str, Any]) -> str:
    tag = info.get("ETag") or info.get("etag") or info.get("md5Hash")
    if tag is not None:
        return str(tag).strip('"')
    changed = info.get("mtime") or info.get("LastModified") or info.get("created")
    if isinstance(changed, datetime):  # some stores list seconds and answer with a date
        changed = changed.timestamp()
    return f"{info['size']} {changed}"


def _stat(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest()


def _no_answer(url: str, error: OSError) -> CohortError:
    return CohortError(
        f"the object store cannot be read ({_said(error)})",
        where=url,
        remedy="Check the address, the network and your credentials (AWS_PROFILE or the like).",
    )


def _said(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
