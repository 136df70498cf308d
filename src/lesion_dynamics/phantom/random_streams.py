"""Independent random streams, one per thing that is drawn.

A stream depends on the seed and on names alone, never on the order of the work or on the
number of processes.
"""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, *names: str) -> np.random.Generator:
    """The generator of what ``names`` describe: cohort, participant, session, purpose."""
    # crc32 and not hash(): the latter differs between interpreter runs.
    words = [zlib.crc32(name.encode("utf-8")) for name in names]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))
