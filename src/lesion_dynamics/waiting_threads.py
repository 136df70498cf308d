"""How the threads of one process wait for each other while it trains. No torch: it comes first."""

from __future__ import annotations

import os

WAIT_POLICY = "OMP_WAIT_POLICY"


def let_waiting_threads_sleep() -> None:
    """Threads that wait give their core away, unless the user said otherwise.

    Left alone they look for work all the time, on the very core that a loading process needs to
    make the next batch; read when torch is loaded, so to be called before.
    """
    os.environ.setdefault(WAIT_POLICY, "PASSIVE")
