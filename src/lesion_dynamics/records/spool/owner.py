"""The process that writes a run, so that a later one can tell whether it is still there."""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

import psutil

_CLOCK_TOLERANCE_SECONDS = 2.0
"""The kernel's start times shift a little when the clock is set."""


@dataclass(frozen=True, slots=True)
class Owner:
    """machine : hash of the host's name. pid, started : the process, seconds since 1970."""

    machine: str
    pid: int
    started: float

    @classmethod
    def here(cls) -> Owner:
        """The process that asks."""
        return cls(_machine(), os.getpid(), psutil.Process().create_time())

    @classmethod
    def of(cls, said: Any) -> Owner:
        """From `as_json`."""
        return cls(str(said["machine"]), int(said["pid"]), float(said["started"]))

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)

    def is_dead(self) -> bool:
        """Whether the process has certainly ended; of another machine nothing is certain."""
        if self.machine != _machine():
            return False
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
            return abs(process.create_time() - self.started) > _CLOCK_TOLERANCE_SECONDS
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False


def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:16]
