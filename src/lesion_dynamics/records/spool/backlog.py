"""Entries on their way into a run's journal, when the disk may be full."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from lesion_dynamics.errors import DiskFullError, OutputError

_LOG = logging.getLogger(__name__)


class Backlog:
    """A full disk costs no training and no entry: what finds no room stays in memory, in order."""

    def __init__(self) -> None:
        self._entries: deque[Callable[[], object]] = deque()
        self._disk_is_full = False

    def __len__(self) -> int:
        """Entries that have found no room yet."""
        return len(self._entries)

    def add(self, write: Callable[[], object]) -> None:
        """Have this written, behind what has found no room before."""
        self._entries.append(write)
        self.write()

    def write(self) -> None:
        """Write what waits, as far as there is room; what can never be written costs a warning."""
        while self._entries:
            try:
                self._entries[0]()
            except DiskFullError as error:
                if not self._disk_is_full:
                    _LOG.warning(
                        "tracking: %s: %s; what is to be recorded waits in memory for room",
                        error.where,
                        error.what,
                    )
                self._disk_is_full = True
                return
            except (OutputError, OSError) as error:
                _LOG.warning("tracking: not recorded (%s)", str(error).splitlines()[0])
            self._entries.popleft()
            if self._disk_is_full:
                _LOG.info("tracking: there is room again")
                self._disk_is_full = False
