from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from lesion_dynamics.segmenter.freed_memory import keep_freed_memory

if sys.argv[1] == "kept" and not keep_freed_memory():
    print(-1)
    raise SystemExit
def use():
    [np.ones(2**20) for _ in range(20)]  # 8 MiB each, all freed at the end
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
    """Pages that the system had to clear afresh, for twice 160 MiB."""
    kept = faults("kept")
    if kept < 0:
        pytest.skip("not glibc")
    assert kept < 100
    assert faults("given back") > 10 * kept
