"""The watch over processes that train together: the first one keeps its last words."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import lightning_fabric.strategies.launchers.subprocess_script as lightning
import pytest
import pytorch_lightning.strategies.launchers.subprocess_script as of_trainer
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from tests.segmenter.small_training import settings

from lesion_dynamics.errors import EXIT_USER_ERROR
from lesion_dynamics.segmenter import peers
from lesion_dynamics.segmenter.callbacks import MetricsToListener
from lesion_dynamics.segmenter.fit import _trainer

CHILD = """
import os, sys, time
if os.environ["LOCAL_RANK"] == "1":
    while not os.path.exists({when!r}):
        time.sleep(0.01)
    sys.exit({status})
time.sleep(60)
"""
PLACES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE", "OMP_NUM_THREADS")
LIGHTNINGS, OURS = "child-process-observer", "watch-over-processes"
Ended = list[tuple[str, int]]


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Ended:
    """How this process would have been ended; a second of waiting takes a hundredth."""
    seen: Ended = []
    for name in PLACES:  # those that were not there are none afterwards, either
        monkeypatch.setenv(name, "1")
    for name in PLACES[:-1]:
        monkeypatch.delenv(name)
    at_once = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / 100))
    monkeypatch.setattr(lightning, "time", at_once)
    at_most = SimpleNamespace(getpid=lambda: 1, kill=lambda _pid, sign: seen.append(("kill", sign)))
    monkeypatch.setattr(lightning, "os", at_most)
    monkeypatch.setattr(peers.os, "_exit", lambda status: seen.append(("exit", status)))
    monkeypatch.setattr(peers, "_LOOK_EVERY_SECONDS", 0.01)
    return seen


def started(
    kind: type[_SubprocessScriptLauncher], when: Path, monkeypatch: pytest.MonkeyPatch, *, of: int
) -> _SubprocessScriptLauncher:
    """Of ``of`` processes the second ends with 2 as soon as there is the file ``when``."""
    command = [sys.executable, "-S", "-c", CHILD.format(when=str(when), status=2)]
    monkeypatch.setattr(of_trainer, "_basic_subprocess_cmd", lambda: command)
    return kind(LightningEnvironment(), of, 1)


def end_of(launcher: _SubprocessScriptLauncher, when: Path) -> subprocess.Popen[bytes]:
    """Let the child end."""
    when.touch()
    child = launcher.procs[0]
    assert child.wait(10) == 2
    return child


def watches_end(*names: str) -> None:
    for thread in threading.enumerate():
        if thread.name in (names or (LIGHTNINGS, OURS)):
            thread.join(10)
            assert not thread.is_alive()


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(
    ("kind", "how"), [(_SubprocessScriptLauncher, [("kill", 9)]), (peers._Launcher, [])]
)
def test_the_first_process_may_say_why_it_ends_when_another_one_has_ended(
    kind: type[_SubprocessScriptLauncher],
    how: Ended,
    early: bool,
    ended: Ended,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a long step (early), and when it failed first; Lightning's own launcher has it killed."""
    launcher = started(kind, tmp_path / "now", monkeypatch, of=2)

    def step() -> None:
        if early:
            end_of(launcher, tmp_path / "now")
            watches_end(LIGHTNINGS)
        raise RuntimeError("gloo/transport")

    with pytest.raises(RuntimeError, match="gloo"):
        launcher.launch(step)
    if not early:
        end_of(launcher, tmp_path / "now")
    watches_end()
    assert ended == how


@pytest.mark.parametrize(
    ("found", "patience"),
    [(True, "_PATIENCE_SECONDS"), (False, "_PATIENCE_AT_START_SECONDS")],
)
def test_a_process_that_waits_for_one_that_ended_says_so_and_ends_with_2(
    found: bool,
    patience: str,
    ended: Ended,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(peers.torch.distributed, "is_initialized", lambda: found)
    monkeypatch.setattr(peers, patience, 0.01)  # the other one is longer than this test waits
    launcher = started(peers._Launcher, tmp_path / "now", monkeypatch, of=3)

    def exchange() -> None:
        end_of(launcher, tmp_path / "now")
        watches_end()

    launcher.launch(exchange)
    assert ended == [("exit", EXIT_USER_ERROR)]
    assert [one.getMessage() for one in caplog.records] == [
        "process 1 of 3: this process lost the others of its training (process 2 ended with "
        "status 2). Another one says why it ended; mend that and start the same command again: it "
        "goes on from the last epoch."
    ]
    assert launcher.procs[1].wait(10) == -9


def test_processes_that_end_well_end_nothing(
    ended: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = started(peers._Launcher, tmp_path / "now", monkeypatch, of=2)
    command = [sys.executable, "-S", "-c", ""]
    monkeypatch.setattr(of_trainer, "_basic_subprocess_cmd", lambda: command)
    assert launcher.launch(lambda: launcher.procs[0].wait(10)) == 0
    watches_end()
    assert ended == []


@pytest.mark.parametrize(
    ("overrides", "unused"),
    [(["trainer.strategy=ddp"], False), (["trainer.strategy=ddp_find_unused_parameters"], True)],
)
def test_trainings_of_several_processes_are_watched_so(
    overrides: list[str], unused: bool, tmp_path: Path
) -> None:
    metrics = MetricsToListener(lambda *_: None)
    both = settings("trainer.devices=2", *overrides)
    strategy = _trainer(both, tmp_path, metrics).strategy
    assert isinstance(strategy.launcher, peers._Launcher)
    assert strategy._ddp_kwargs == {"find_unused_parameters": unused}
    alone = _trainer(settings(), tmp_path, metrics).strategy
    assert alone.launcher is None
