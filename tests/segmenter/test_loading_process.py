"""Loading processes: no forks of the process that trains, and set up as it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch
from tests.conftest import ROOT
from tests.segmenter.noting_source import Noting
from tests.segmenter.small_training import settings

from lesion_dynamics.segmenter.datamodule import LesionDataModule
from lesion_dynamics.segmenter.training_scans import TrainingScan


def load(scans: list[TrainingScan], folder: Path, *overrides: str) -> list[dict[str, object]]:
    """What the source said of every patch of an epoch."""
    data = LesionDataModule(scans[1:], scans[:1], settings(*overrides), source=Noting(folder))
    list(data.train_dataloader())
    return [json.loads(path.read_text()) for path in folder.glob("*.json")]


@pytest.mark.parametrize(("deterministic", "warn_only"), [(True, False), (True, True)])
def test_a_loading_process_is_no_copy_of_the_one_that_trains_and_computes_as_it_does(
    deterministic: bool,
    warn_only: bool,
    scans: list[TrainingScan],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Noting, "touched", True)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
    try:
        said = load(scans, tmp_path, "trainer.workers=1")
    finally:
        torch.use_deterministic_algorithms(before)
    assert said
    for one in said:
        assert one.pop("process") != os.getpid()
        assert one == {
            "is_a_copy": False,
            "deterministic": deterministic,
            "warn_only": warn_only,
            "ignores_ctrl_c": True,
        }


def test_without_loading_processes_the_one_that_trains_loads(
    scans: list[TrainingScan], tmp_path: Path
) -> None:
    said = load(scans, tmp_path, "trainer.workers=0")
    assert said
    assert {one["process"] for one in said} == {os.getpid()}


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.segmenter.noting_source import Noting

if __name__ == "__main__":
    from tests.segmenter.small_training import settings
    from tests.segmenter.training_scan_files import write_scan
    from lesion_dynamics.segmenter.datamodule import LesionDataModule

    folder = Path(sys.argv[1])
    scans = [write_scan(folder, number, lesion=True) for number in range(2)]
    chosen = settings("trainer.workers=1")
    data = LesionDataModule(scans[1:], scans[:1], chosen, source=Noting(folder))
    loading = iter(data.train_dataloader())
    next(loading)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_loading_processes_end_with_the_one_that_trains_however_it_went(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=environment, timeout=120, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    loading = {json.loads(path.read_text())["process"] for path in tmp_path.glob("*.json")}
    assert len(loading) == 1
    left = [psutil.Process(pid) for pid in loading if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(left, timeout=30)
    assert alive == []
