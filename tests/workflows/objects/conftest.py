"""An object store in memory, empty."""

from __future__ import annotations

from collections.abc import Iterator

import fsspec
import pytest


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    store = fsspec.filesystem("memory")
    # One store a process: what others left, folders too, is none of this test's.
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    yield store
    store.store.clear()
