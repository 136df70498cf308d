"""python train.py in two processes (gloo): one record, one version, the result of one process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tests.conftest import ROOT, SMALL_TRAINING, Workplace

from lesion_dynamics.model_version import load_model_version
from lesion_dynamics.records.store import open_store
from lesion_dynamics.workflows.training import run

# The mean over voxels of a batch is the mean of the processes' means; Dice is not.
SHARED_OUT = ("loss.dice_weight=0", "trainer.accumulate_batches=2")


def in_processes(place: Workplace, processes: int) -> None:
    """The command itself, in a folder of its own."""
    place.folder.mkdir()
    data = place.data / "training"
    subprocess.run(
        [
            sys.executable, str(ROOT / "train.py"), *SMALL_TRAINING, *SHARED_OUT,
            f"trainer.devices={processes}", "trainer.workers=1", f"cohort.root={data}",
            f"cohort.reference_masks={data / 'derivatives/reference'}",
        ],
        cwd=place.folder, env=os.environ | {"PYTHONWARNINGS": "ignore"}, check=True, timeout=300,
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_leave_one_run_one_version_and_the_weights_of_one(
    small_phantom: Path, tmp_path: Path
) -> None:
    one, two = (Workplace(tmp_path / name, small_phantom) for name in ("one", "two"))
    in_processes(two, 2)
    expected = run(one.training(*SHARED_OUT))
    found = load_model_version(two.folder / "models/lesion-segmenter")
    assert found.label == "lesion-segmenter/1"
    mine, theirs = (safetensors.torch.load_file(version.weights) for version in (found, expected))
    # A step of AdamW moves a weight by up to 2e-3; rounding of the shared gradients by 1% of that.
    for name, value in theirs.items():
        torch.testing.assert_close(mine[name], value, atol=1e-4, rtol=1e-3)
    # Every validation participant once, as often as it has scans.
    measured = [
        Counter(row["participant_id"] for row in version.manifest.validation["each"])
        for version in (found, expected)
    ]
    assert measured[0] == measured[1]
    assert found.manifest.validation["scans"] == expected.manifest.validation["scans"]
    recorded = []
    for place in (two, one):
        store = open_store(place.training().tracking)
        (only,) = store.client.search_runs([store.experiment_id])
        assert only.info.status == "FINISHED"
        assert len(store.client.search_model_versions("name='lesion-segmenter'")) == 1
        recorded.append(store.client.get_metric_history(only.info.run_id, "training_loss"))
    assert [row.step for row in recorded[0]] == [row.step for row in recorded[1]]
    for together, alone in zip(*recorded, strict=True):
        assert together.value == pytest.approx(alone.value, rel=1e-4)
