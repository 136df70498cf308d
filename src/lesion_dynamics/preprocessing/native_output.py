"""Silence for libraries that print from C++, past Python's streams."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_STANDARD_STREAMS = (1, 2)


@contextmanager
def native_output_silenced() -> Iterator[None]:
    """Send what is written to the file descriptors 1 and 2 nowhere, for a while.

    Greedy's optimiser reports every line search that ends early, which is its normal end. The
    descriptors belong to the whole process; errors still arrive as exceptions.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(descriptor) for descriptor in _STANDARD_STREAMS]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor in _STANDARD_STREAMS:
            os.dup2(nowhere, descriptor)
        yield
    finally:
        for saved, descriptor in zip(kept, _STANDARD_STREAMS, strict=True):
            os.dup2(saved, descriptor)
            os.close(saved)
        os.close(nowhere)
