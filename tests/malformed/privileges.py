"""Without root's right to read whatever it likes, so that permissions can be tested as root."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
_READ_EVERYTHING = (1 << 1) | (1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@contextmanager
def unprivileged() -> Iterator[None]:
    """In this thread and those it starts, permissions of files count for root as well."""
    if os.geteuid() != 0:
        yield
        return
    if not sys.platform.startswith("linux"):
        pytest.skip("root reads every file here, and nothing can be done about it")
    header = (ctypes.c_uint32 * 2)(_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then their high words
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capget(header, sets) != 0:
        pytest.skip("the capabilities of this process cannot be read")
    before = sets[0]
    sets[0] = before & ~_READ_EVERYTHING
    if libc.capset(header, sets) != 0:
        pytest.skip("the capabilities of this process cannot be changed")
    try:
        yield
    finally:
        sets[0] = before
        libc.capset(header, sets)
