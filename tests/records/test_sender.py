"""How long a training waits at its end for a store that is away."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from lesion_dynamics.records.spool import sender
from lesion_dynamics.records.spool.journal import Journal
from lesion_dynamics.records.spool.pending import target_of
from lesion_dynamics.records.spool.sender import patience
from lesion_dynamics.records.store import Store, connect
from lesion_dynamics.settings.tracking import TrackingSettings


@pytest.mark.parametrize(
    ("seconds", "away", "waited"),
    [(60, 0, 60), (60, 20, 40), (60, 3600, 5), (2, 3600, 2), (0, 9, 0)],
)
def test_a_store_that_has_long_been_away_is_hardly_waited_for(
    seconds: float, away: float, waited: float
) -> None:
    assert patience(seconds, away=away) == waited


def test_the_time_of_an_outage_counts_from_its_first_failure(
    tmp_path: Path, empty_database: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails at 1,000 and 1,100 s, is waited for at 1,200 s, then answers, and is again."""
    (tmp_path / "mlflow.db").write_bytes(empty_database)
    tracking = TrackingSettings(folder=tmp_path, experiment="test")
    store = connect(tracking)
    clock = iter([1000.0, 1200.0])
    away: list[float] = []
    monkeypatch.setattr(sender, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(sender, "patience", lambda _, *, away: asked(away))
    attempts, waiting, back = [0], threading.Event(), threading.Event()

    def asked(seconds: float) -> float:
        away.append(seconds)
        return 20.0

    def connect_at_last() -> Store:
        attempts[0] += 1
        if attempts[0] < 3:
            raise OSError("away")
        return store

    def rest(_self: sender.Sender, _seconds: float) -> None:
        if attempts[0] == 2:
            waiting.set()
            back.wait(20)

    monkeypatch.setattr(sender.Sender, "_rest", rest)
    journal = Journal(tmp_path / "spool" / "a")
    journal.open({"target": target_of(tracking), "name": "run", "tags": {}, "created_ms": 1000})
    end = journal.append("tag", {"name": "a", "value": "b"})
    sending = sender.Sender(journal, connect_at_last)
    assert waiting.wait(20)
    threading.Timer(0.05, back.set).start()
    assert sending.wait(end, seconds=60)
    assert sending.wait(end, seconds=60)
    sending.close()
    assert away == [200.0, 0.0]
