"""Kill a training at random moments; its final weights must not notice.

python benchmarks/kill_training.py --kills 20 (make test-kill). The small phantom, a network of a
few thousand weights, everything switched on that has a state: moving average, schedule,
accumulation, early stopping, a loading process. One training runs in peace; the other is killed
(SIGKILL) again and again, and goes on each time. Exits with 1 if any weight differs, or if the
two trainings are not one MLflow run each.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from mlflow import MlflowClient

from lesion_dynamics.phantom.generate import generate
from lesion_dynamics.segmenter.fit import LAST_CHECKPOINT
from lesion_dynamics.settings.phantom import PhantomSettings

ROOT = Path(__file__).parents[1]
EPOCHS = 24
SETTINGS = (
    "segmenter.spacing_mm=3", "segmenter.network.channels=[4,8,8]",
    "segmenter.network.head_channels=2", "segmenter.preprocessing.bias_field.iterations=[5]",
    "segmenter.window.size_voxels=[32,32,32]", "segmenter.precision=float32",
    "patch.size_voxels=16", f"trainer.epochs={EPOCHS}", "trainer.steps_per_epoch=4",
    "trainer.validate_every_epochs=4", "trainer.accumulate_batches=2",
    "trainer.early_stopping_patience=5", "trainer.accelerator=cpu", "trainer.workers=1",
    "trainer.threads=1", "optimiser.schedule=polynomial",
    "optimiser.weight_average_decay=0.95", "processes=1", "validation_fraction=0.4",
)  # fmt: skip
logger = logging.getLogger("kill_training")


def start(folder: Path) -> subprocess.Popen[bytes]:
    """The training of ``folder``, started or gone on with, in a process group of its own."""
    folder.mkdir(exist_ok=True)
    data = folder.parent / "data" / "training"
    own = [f"cohort.root={data}", f"cohort.reference_masks={data}/derivatives/reference"]
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *SETTINGS, *own],
            cwd=folder, stdout=log, stderr=log, start_new_session=True,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )  # fmt: skip


def in_peace(folder: Path) -> float:
    """Train without interruption; the seconds that it took."""
    begin = time.monotonic()
    if start(folder).wait() != 0:
        raise SystemExit(f"the training failed: see {folder / 'log.txt'}")
    return time.monotonic() - begin


def ended_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait so long; whether the training has ended by itself."""
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    if process.returncode != 0:
        raise SystemExit("the training failed by itself")
    return True


def under_fire(place: Path, *, kills: int, whole: float, seed: int) -> list[Path]:
    """Kill trainings ``kills`` times in all, at random moments, then let the last one finish.

    A training that finishes between two kills is followed by another one of the same settings.
    """
    rng = random.Random(seed)  # noqa: S311
    folders = [place / "fire1"]
    for done in range(1, kills + 1):
        process = start(folders[-1])
        while ended_within(process, rng.uniform(0.1, 0.6) * whole):
            folders.append(place / f"fire{len(folders) + 1}")
            process = start(folders[-1])
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        logger.info("killed %d times", done)
    in_peace(folders[-1])
    return folders


def weights(folder: Path) -> tuple[bytes, dict[str, torch.Tensor]]:
    """The registered weights, and those of the last checkpoint with their average."""
    last = next((folder / "runs").glob(f"lesion-segmenter-*/{LAST_CHECKPOINT}"))
    saved = torch.load(last, weights_only=True)
    both = {f"average {name}": one for name, one in saved["weight_average"]["average"].items()}
    registered = folder / "models/lesion-segmenter/weights.safetensors"
    return registered.read_bytes(), {**saved["state_dict"], **both}


def differences(first: Path, second: Path) -> list[str]:
    """What differs between the two trainings."""
    (bytes_one, one), (bytes_two, two) = weights(first), weights(second)
    found = [name for name in one if not torch.equal(one[name], two[name])]
    if bytes_one != bytes_two:
        found.append("the registered weights")
    for folder in (first, second):
        client = MlflowClient(f"sqlite:///{folder / 'tracking/mlflow.db'}")
        experiment = client.get_experiment_by_name("lesion-dynamics")
        runs = client.search_runs([experiment.experiment_id]) if experiment else []
        if [run.info.status for run in runs] != ["FINISHED"]:
            found.append(f"{folder.name} left {len(runs)} runs")
    return found


def main() -> int:
    """Train in peace, train under fire, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        generate(PhantomSettings.of_variant("small", seed=11), place / "data", processes=2)
        whole = in_peace(place / "peace")
        logger.info("in peace: %.0f s", whole)
        folders = under_fire(place, kills=given.kills, whole=whole, seed=given.seed)
        found = {one.name: differences(place / "peace", one) for one in folders}
    logger.info("%d kills of %d training(s); different: %s", given.kills, len(found), found)
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
