"""Two processes (gloo) train what one trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import ROOT
from tests.segmenter.small_training import settings
from tests.segmenter.train_in_processes import OVERRIDES
from tests.segmenter.training_scan_files import write_scan


def train(folder: Path, processes: int) -> dict[str, Any]:
    arguments = ["-m", "tests.segmenter.train_in_processes", str(folder), str(processes)]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, check=True, timeout=300)
    run = folder / f"run{processes}"
    return {path.stem: json.loads(path.read_text()) for path in run.glob("*.json")} | {
        "weights": torch.load(run / "weights.pt", weights_only=True)
    }


@pytest.mark.slow
def test_two_processes_see_every_patch_once_and_end_with_the_weights_of_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "scans").mkdir()
    for number in range(4):
        write_scan(tmp_path / "scans", number, lesion=number != 2)
    one, two = train(tmp_path, 1), train(tmp_path, 2)
    chosen = settings(*OVERRIDES)
    loop = chosen.trainer
    count = loop.epochs * loop.steps_per_epoch * loop.accumulate_batches * chosen.patch.batch
    every = list(range(count))
    assert one["first"]["numbers"] == every
    # Patch number n of each turn is of another scan: once each is every participant as often.
    assert sorted(two["first"]["numbers"] + two["other"]["numbers"]) == every
    assert two["first"]["numbers"] == every[::2]
    for name, value in one["weights"].items():
        torch.testing.assert_close(two["weights"][name], value, atol=2e-5, rtol=2e-4)
    # The scores are of the whole validation set in both, each scan once.
    for alone, together in zip(one["first"]["history"], two["first"]["history"], strict=True):
        assert alone["validation_scan_count"] == together["validation_scan_count"] == 1
        assert together["training_loss"] == pytest.approx(alone["training_loss"], rel=1e-4)
        assert together["step"] == alone["step"]
    assert sorted(path.name for path in (tmp_path / "run2").glob("*.ckpt")) == [
        "best.ckpt",
        "last.ckpt",
    ]
