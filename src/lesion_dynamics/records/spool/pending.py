"""What runs of before have left undelivered, and whose process is gone."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from lesion_dynamics.records.spool.delivery import Delivery
from lesion_dynamics.records.spool.journal import END, HEADER_FILE, Journal, lock_for_delivery
from lesion_dynamics.records.store import Store, first_line
from lesion_dynamics.settings.tracking import TrackingSettings

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivered:
    """runs : journals now empty. waiting : still not delivered. in_use : another process's."""

    runs: int
    waiting: int
    in_use: int


def spool_folder(settings: TrackingSettings) -> Path:
    """Where runs of this tracking wait."""
    return settings.folder.resolve() / "spool"


def target_of(settings: TrackingSettings) -> dict[str, Any]:
    """Which store a journal is for; without user name and password of the address."""
    return {"uri": without_password(settings.uri), "experiment": settings.experiment}


def without_password(address: str | None) -> str | None:
    """An address as it may be written down."""
    if address is None:
        return None
    parts = urlsplit(address)
    # A database's address holds its password in places that urlsplit does not know, too.
    place = parts.netloc.rpartition("@")[2]
    query = parts.query if "password" not in parts.query.lower() else ""
    return urlunsplit((parts.scheme, place, parts.path, query, ""))


def journals(settings: TrackingSettings) -> list[Journal]:
    """Journals of runs for this store, oldest first."""
    found = [Journal(path.parent) for path in spool_folder(settings).glob(f"*/{HEADER_FILE}")]
    wanted = target_of(settings)
    ours = []
    for journal in found:
        try:
            header = journal.header()
        except (OSError, ValueError):  # another process has just delivered and removed it
            continue
        if header["target"] == wanted:
            ours.append((header["created_ms"], journal.spool_id, journal))
    return [journal for _, _, journal in sorted(ours, key=lambda one: one[:2])]


def deliver_pending(settings: TrackingSettings, store: Store) -> Delivered:
    """Send what waits for ``store``; runs whose process was killed end as KILLED.

    A store that stops answering leaves the rest where it is.
    """
    runs = waiting = in_use = 0
    for journal in journals(settings):
        lock = lock_for_delivery(journal)
        if lock is None:
            in_use += 1
            continue
        with lock:
            _end_if_killed(journal)
            if not journal.waits():
                _remove_if_finished(journal)
            elif _deliver(journal, store):
                runs += 1
            else:
                waiting += 1
    return Delivered(runs, waiting, in_use)


def _end_if_killed(journal: Journal) -> None:
    if journal.state() != "RUNNING" or not journal.owner().is_dead():
        return
    newest = max(path.stat().st_mtime for path in journal.folder.iterdir() if path.is_file())
    time_ms = int(min(newest, time.time()) * 1000)
    journal.open(journal.header())  # cuts half a line off
    journal.append(END, {"status": "KILLED", "time_ms": time_ms})


def _deliver(journal: Journal, store: Store) -> bool:
    delivery = Delivery(journal, lambda: store)
    try:
        while delivery.step():
            pass
    except Exception as error:  # noqa: BLE001  it is tried again at the next contact
        _LOG.warning("tracking: %s waits on (%s)", journal.folder, first_line(error))
        return False
    _LOG.info("tracking: delivered what waited of run %s", journal.header()["name"])
    _remove_if_finished(journal)
    return True


def _remove_if_finished(journal: Journal) -> None:
    # A failed or killed training may go on: its journal knows what was recorded.
    if journal.state() == "FINISHED":
        journal.remove()
