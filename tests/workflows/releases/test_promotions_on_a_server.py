"""Machines that share a server and no folder: one promotion wins, whatever comes in between."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.releases.promoting import FREE, NAME, settings
from tests.workflows.releases.tiny_version import make_version, scan_record

from lesion_dynamics.errors import ModelVersionError, OutputError
from lesion_dynamics.records import champion
from lesion_dynamics.records.champion import follow
from lesion_dynamics.records.promotion_log import PromotionLog
from lesion_dynamics.records.registry import champion_number, register, set_champion
from lesion_dynamics.records.store import Store, connect
from lesion_dynamics.records.training_run import TrainingRun
from lesion_dynamics.settings.promotion import PromoteSettings
from lesion_dynamics.settings.tracking import TrackingSettings
from lesion_dynamics.workflows.releases.promotion import assess, commit


class Machine:
    """One with a folder of its own; the address is a database's, as a server's would be."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.tracking = TrackingSettings(folder=folder, uri=uri, experiment="test")
        self.store = connect(self.tracking)

    def wants(self, number: int) -> PromoteSettings:
        own = settings(self.tracking.folder, number, *FREE, "force=true", "reason=race")
        return own.model_copy(update={"tracking": self.tracking})

    @property
    def log(self) -> PromotionLog:
        return PromotionLog(self.store, NAME, self.tracking)

    @property
    def told(self) -> list[str]:
        return [str(entry["to"]) for entry in self.log.entries()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_database: bytes) -> Path:
    """A store with the versions 1, 2 and 3; each test takes a copy of its database."""
    root = tmp_path_factory.mktemp("server")
    (root / "mlflow.db").write_bytes(empty_database)
    uri = f"sqlite:///{root / 'mlflow.db'}"
    connect(TrackingSettings(folder=root, experiment="test"))  # artifacts lie there, too
    store = connect(TrackingSettings(folder=root / "own", uri=uri, experiment="test"))
    for number in (1, 2, 3):
        scans = [scan_record("sub-1", dice=0.5 + 0.1 * number)]
        version = make_version(root / f"v{number}", name=NAME, seed=number, each=scans)
        run = TrainingRun.start(store, name="run", tags={})
        register(store, run_id=run.run_id, folder=version.weights.parent)
    return root / "mlflow.db"


@pytest.fixture
def machines(made: Path, tmp_path: Path) -> tuple[Machine, Machine]:
    """Two of them; tiny/1 is the champion, and the log says so."""
    database = tmp_path / "mlflow.db"
    database.write_bytes(made.read_bytes())
    uri = f"sqlite:///{database}"
    here, there = Machine(tmp_path / "here", uri), Machine(tmp_path / "there", uri)
    commit(assess(here.wants(1)), here.wants(1))
    return here, there


def test_who_decided_on_an_older_log_is_told(machines: tuple[Machine, Machine]) -> None:
    here, there = machines
    first, second = assess(here.wants(2)), assess(there.wants(3))
    commit(first, here.wants(2))
    with pytest.raises(ModelVersionError, match="somebody promoted tiny/2 meanwhile"):
        commit(second, there.wants(3))
    assert champion_number(there.store, NAME) == 2
    assert there.told == ["tiny/1", "tiny/2"]
    commit(assess(there.wants(3)), there.wants(3))  # on the log of now it may
    assert champion_number(here.store, NAME) == 3
    assert here.told == ["tiny/1", "tiny/2", "tiny/3"]


def test_a_promotion_recorded_and_not_carried_out_is_carried_out_by_the_next(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the log and the alias: the other machine is told, and the alias follows."""
    here, there = machines
    second = assess(there.wants(3))

    def killed(*_: Any) -> None:
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(champion, "set_champion", killed)
        with pytest.raises(SystemExit):
            commit(assess(here.wants(2)), here.wants(2))
    assert champion_number(there.store, NAME) == 1
    with pytest.raises(ModelVersionError, match="somebody promoted tiny/2 meanwhile"):
        commit(second, there.wants(3))
    assert champion_number(there.store, NAME) == 2
    assert there.told == ["tiny/1", "tiny/2"]


def test_an_entry_whose_machine_died_in_the_middle_of_writing_it_is_whole(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between claiming the number and writing the tag; the reason is longer than a part."""
    here, there = machines
    wanted = here.wants(2).model_copy(update={"reason": "r" * 9000})

    def killed(*_: Any) -> None:
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(PromotionLog, "_take_in", killed)
        with pytest.raises(SystemExit):
            commit(assess(wanted), wanted)
    entries = there.log.entries()
    assert (entries[-1]["to"], entries[-1]["reason"]) == ("tiny/2", "r" * 9000)
    tags = there.store.client.get_registered_model(NAME).tags
    first = hashlib.sha256(tags["promotion.000001"].encode()).hexdigest()
    assert entries[-1]["previous_sha256"] == first
    follow(there.store, there.log, NAME)
    assert champion_number(there.store, NAME) == 2
    commit(assess(there.wants(3)), there.wants(3))
    assert here.told == ["tiny/1", "tiny/2", "tiny/3"]


def test_a_machine_that_is_slow_to_move_the_alias_does_not_move_it_back(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look at the log and its setting the alias, another promotion came and went."""
    here, there = machines
    calls: list[int | None] = []

    def slow(store: Store, name: str, number: int | None) -> None:
        calls.append(number)
        if len(calls) == 1:
            follow(there.store, there.log, NAME)  # carries tiny/2 out
            commit(assess(there.wants(3)), there.wants(3))
        set_champion(store, name, number)

    monkeypatch.setattr(champion, "set_champion", slow)
    commit(assess(here.wants(2)), here.wants(2))
    assert calls == [2, 2, 3, 3]  # here, there twice, and here again when it has looked
    assert champion_number(here.store, NAME) == 3
    assert here.told == ["tiny/1", "tiny/2", "tiny/3"]


def test_a_champion_set_by_hand_stays(machines: tuple[Machine, Machine]) -> None:
    here, there = machines
    set_champion(here.store, NAME, 3)
    follow(there.store, there.log, NAME)
    assert champion_number(there.store, NAME) == 3


def test_a_withdrawn_promotion_that_another_machine_had_carried_out_is_taken_back(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = machines

    def away(store: Store, name: str, number: int | None) -> None:
        set_champion(there.store, name, number)  # the other machine's, meanwhile
        raise OutputError("the registry is away", where=NAME, remedy="Start it.")

    with monkeypatch.context() as patch:
        patch.setattr(champion, "set_champion", away)
        with pytest.raises(OutputError, match="the registry is away"):
            commit(assess(here.wants(2)), here.wants(2))
    assert there.told == ["tiny/1", "tiny/2", "tiny/1"]
    follow(there.store, there.log, NAME)
    assert champion_number(there.store, NAME) == 1
