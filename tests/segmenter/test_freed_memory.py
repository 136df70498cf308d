from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import ctypes, resource, sys
from lesion_dynamics.segmenter.freed_memory import keep_freed_memory

if sys.argv[1] == "kept" and not keep_freed_memory():
    print(-1)
    raise SystemExit
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def use():
    blocks = [libc.malloc(size) for size in (2**29, *[2**23] * 20)]  # 512 and 8 MiB
    for block, size in zip(blocks, (2**29, *[2**23] * 20)):
        libc.memset(block, 1, size)
        libc.free(block)
use(), use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use(), use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(which: str) -> int:
    found = subprocess.run(
        [sys.executable, "-c", FAULTS, which], check=True, stdout=subprocess.PIPE, text=True
    )
    return int(found.stdout)


def test_memory_that_was_freed_is_found_again() -> None:
    """Pages that the system had to clear afresh, for twice 672 MiB."""
    kept = faults("kept")
    if kept < 0:
        pytest.skip("not glibc")
    assert kept < 100
    assert faults("given back") > 10 * kept
