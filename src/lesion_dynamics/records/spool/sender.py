"""A thread that delivers a journal while the training goes on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from lesion_dynamics.records.spool.delivery import Delivery
from lesion_dynamics.records.spool.journal import Journal, lock_for_delivery
from lesion_dynamics.records.store import Store, first_line

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 60.0
_PAUSE_WHILE_SOMEBODY_WAITS_SECONDS = 1.0
_LAST_TRY_SECONDS = 5.0
"""For a store that has been away for longer than anybody is ready to wait."""


class Sender:
    """Delivers in the background, with growing pauses while the store does not answer.

    The thread is a daemon: a store that hangs does not keep the process from ending.
    """

    def __init__(self, journal: Journal, connect: Callable[[], Store]) -> None:
        self.delivery = Delivery(journal, connect)
        self._journal = journal
        self._lock = lock_for_delivery(journal)
        self._news = threading.Condition()
        self._closing = False
        self._awaited = False
        self._away_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        if self._lock is not None:
            self._thread.start()

    def wake(self) -> None:
        """There is something new to deliver."""
        with self._news:
            self._news.notify_all()

    def wait(self, offset: int, *, seconds: float) -> bool:
        """Wait until the journal is delivered up to ``offset``, at most so long; whether it is.

        The time that the store has been away already counts: a sweep does not wait for it again
        at the end of every training.
        """
        away = 0.0 if self._away_since is None else time.monotonic() - self._away_since
        seconds = patience(seconds, away=away)
        with self._news:
            self._awaited = True
            self._news.notify_all()
            done = self._news.wait_for(
                lambda: self.delivery.offset >= offset or not self._thread.is_alive(), seconds
            )
            self._awaited = False
        return done and self.delivery.offset >= offset

    def close(self) -> None:
        """Send nothing more; an answer that is being waited for is waited for no longer."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=_PAUSE_WHILE_SOMEBODY_WAITS_SECONDS)
        if self._lock is not None and not self._thread.is_alive():
            self._lock.close()

    def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._closing:
            try:
                sent = self.delivery.step()
            except Exception as error:  # noqa: BLE001  nothing of tracking may end a training
                self._away_since = self._away_since or time.monotonic()
                if pause == _FIRST_PAUSE_SECONDS:
                    _LOG.warning(
                        "tracking: the store does not answer; the training goes on, and what is "
                        "to be recorded waits in %s (%s)",
                        self._journal.folder,
                        first_line(error),
                    )
                self._rest(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            self._away_since = None
            if pause != _FIRST_PAUSE_SECONDS:
                _LOG.info("tracking: the store answers again")
                pause = _FIRST_PAUSE_SECONDS
            with self._news:
                self._news.notify_all()
                if not sent and not self._closing and not self._journal.waits():
                    self._news.wait()

    def _rest(self, seconds: float) -> None:
        """Pause; shorter as soon as somebody waits for the end."""
        until = time.monotonic() + seconds
        with self._news:
            while not self._closing and time.monotonic() < until:
                if self._awaited:
                    until = min(until, time.monotonic() + _PAUSE_WHILE_SOMEBODY_WAITS_SECONDS)
                    self._news.wait(_PAUSE_WHILE_SOMEBODY_WAITS_SECONDS)
                    return
                self._news.wait(until - time.monotonic())


def patience(seconds: float, *, away: float) -> float:
    """How long to wait for a store that has been away for so many seconds."""
    return max(seconds - away, min(seconds, _LAST_TRY_SECONDS))
