"""Kill one training at random moments; its final weights must not notice.

    python benchmarks/kill_training.py --kills 20 [--devices 2] [--epochs 48]
        [--folder DIR --minutes 8] [--results FILE]

A part of make test-kill. The small phantom, a network of a few thousand weights, everything
switched on that has a state: labelled and drawn patches, moving average, schedule, accumulation,
early stopping, a loading process. One training runs in peace; another is killed (SIGKILL, all its
processes) again and again, at moments from its first second to its last epochs, and goes on each
time. Then the registered weights, the last epoch's, their moving average, the optimiser's state,
the validation record and every epoch's metrics must be those of the training in peace, bit for
bit, each in one finished MLflow run. Exits with 1 if anything differs. With ``--devices 2`` two
processes (gloo) train together, and both are killed.

With ``--folder`` the same command goes on where it stopped (after ``--minutes``, exit status 75).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from mlflow import MlflowClient

from lesion_dynamics.phantom.generate import generate
from lesion_dynamics.segmenter.fit import LAST_CHECKPOINT
from lesion_dynamics.settings.phantom import PhantomSettings

ROOT = Path(__file__).parents[1]
EPOCHS = 48
SETTINGS = (
    "segmenter.spacing_mm=1", "segmenter.network.channels=[4,8,8]",
    "segmenter.network.head_channels=2", "segmenter.preprocessing.bias_field.iterations=[5]",
    "segmenter.window.size_voxels=[96,112,96]", "segmenter.precision=float32",
    "patch.size_voxels=16", f"trainer.epochs={EPOCHS}", "trainer.steps_per_epoch=4",
    "trainer.validate_every_epochs=8", "trainer.accumulate_batches=2",
    "trainer.early_stopping_patience=5", "trainer.accelerator=cpu", "trainer.workers=1",
    "trainer.threads=1", "optimiser.schedule=polynomial",
    "optimiser.weight_average_decay=0.95", "synthesis.share=0.5", "synthesis.heads=2",
    "processes=1", "validation_fraction=0.4",
)  # fmt: skip
NOT_YET = 75
"""Exit status: the time was over; the same command goes on."""
logger = logging.getLogger("kill_training")


@dataclass
class State:
    """What has been done; kept in the folder.

    whole_s : the training in peace. first_epoch_s : of that, until its first epoch was kept.
    epochs_done : at every kill, how many epochs the killed training had kept.
    folders : trainings under fire; more than one only if one ended before its last kill.
    """

    whole_s: float = 0.0
    first_epoch_s: float = 0.0
    epochs_done: list[int] = field(default_factory=list)
    folders: list[str] = field(default_factory=lambda: ["fire1"])

    @classmethod
    def read(cls, path: Path) -> State:
        """The state of an earlier part, or a fresh one."""
        return cls(**json.loads(path.read_text())) if path.is_file() else cls()

    def keep(self, path: Path) -> None:
        """For the next part."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def start(folder: Path, given: argparse.Namespace) -> subprocess.Popen[bytes]:
    """The training of ``folder``, started or gone on with, in a process group of its own."""
    folder.mkdir(exist_ok=True)
    data = folder.parent / "data" / "training"
    own = [f"cohort.root={data}", f"cohort.reference_masks={data}/derivatives/reference"]
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *SETTINGS, f"trainer.epochs={given.epochs}",
             f"trainer.devices={given.devices}", *own],
            cwd=folder, stdout=log, stderr=log, start_new_session=True,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )  # fmt: skip


def ended_well(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for the end; it must be a good one."""
    if process.wait() != 0:
        logger.error("%s", (folder / "log.txt").read_text()[-3000:])
        raise SystemExit(f"{folder.name}: the training failed by itself")


def in_peace(folder: Path, state: State, given: argparse.Namespace) -> None:
    """Train without interruption, and take the times."""
    begin = time.monotonic()
    process = start(folder, given)
    while process.poll() is None and not list((folder / "runs").glob(f"*/{LAST_CHECKPOINT}")):
        time.sleep(0.1)
    state.first_epoch_s = time.monotonic() - begin
    ended_well(process, folder)
    state.whole_s = time.monotonic() - begin


def epochs_kept(folder: Path) -> int:
    """Epochs in the checkpoint that a killed training goes on from."""
    last = list((folder / "runs").glob(f"lesion-segmenter-*/{LAST_CHECKPOINT}"))
    return int(torch.load(last[0], weights_only=True)["epoch"]) + 1 if last else 0


def wait_to_kill(state: State, kills: int, rng: random.Random) -> float:
    """Seconds after a start: anywhere from the first second until some epochs are done.

    On average a training does of its epochs what lets the asked number of kills fit into one.
    """
    to_loop = 0.6 * state.first_epoch_s  # drawn heads and prepared scans are there after a while
    share = 1.6 * (state.whole_s - state.first_epoch_s) / kills
    return rng.uniform(0.2, to_loop) if rng.random() < 0.2 else to_loop + rng.uniform(0, 2) * share


def under_fire(place: Path, state: State, given: argparse.Namespace, *, until: float) -> bool:
    """Kill until it was enough; whether there was time for that."""
    while len(state.epochs_done) < given.kills:
        if time.monotonic() > until:
            return False
        done = len(state.epochs_done)
        folder = place / state.folders[-1]
        process = start(folder, given)
        rng = random.Random(1000 * given.seed + done)  # noqa: S311
        try:
            process.wait(timeout=wait_to_kill(state, given.kills, rng))
            ended_well(process, folder)
            state.folders.append(f"fire{len(state.folders) + 1}")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            state.epochs_done.append(epochs_kept(folder))
            logger.info("kill %d of %d: %d epochs kept", done + 1, given.kills,
                        state.epochs_done[-1])  # fmt: skip
        state.keep(place / "state.json")
    return True


def left_by(folder: Path) -> dict[str, Any]:
    """Everything that must be the same, by name."""
    last = next((folder / "runs").glob(f"lesion-segmenter-*/{LAST_CHECKPOINT}"))
    saved = torch.load(last, weights_only=True)
    version = folder / "models/lesion-segmenter"
    client = MlflowClient(f"sqlite:///{folder / 'tracking/mlflow.db'}")
    experiment = client.get_experiment_by_name("lesion-dynamics")
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    metrics = {
        name: sorted({(one.step, one.value) for one in history})
        for run in runs
        for name in run.data.metrics
        for history in [client.get_metric_history(run.info.run_id, name)]
    }
    return {
        **{f"weights of {name}": value for name, value in saved["state_dict"].items()},
        **{f"average of {k}": v for k, v in saved["weight_average"]["average"].items()},
        **{
            f"optimiser's {name} of {key}": value
            for key, one in saved["optimizer_states"][0]["state"].items()
            for name, value in one.items()
        },
        "registered weights": (version / "weights.safetensors").read_bytes(),
        "validation": json.loads((version / "manifest.json").read_text())["validation"],
        "runs": [run.info.status for run in runs],
        "versions": len(client.search_model_versions("name='lesion-segmenter'")),
        "metrics": metrics,
    }


def differences(first: Path, second: Path) -> list[str]:
    """What differs between the two trainings, or is not as it must be."""
    one, two = left_by(first), left_by(second)
    found = sorted(one.keys() ^ two.keys())
    for name in one.keys() & two.keys():
        both = (one[name], two[name])
        same = torch.equal(*both) if isinstance(both[0], torch.Tensor) else both[0] == both[1]
        found += [] if same else [name]
    right = {"runs": ["FINISHED"], "versions": 1}
    return found + [f"{name}: {two[name]}" for name, value in right.items() if two[name] != value]


def measure(place: Path, given: argparse.Namespace, *, until: float) -> int:
    """Train in peace, train under fire, compare."""
    state_file = place / "state.json"
    state = State.read(state_file)
    if not state.whole_s:
        if not (place / "data").is_dir():
            generate(PhantomSettings.of_variant("small", seed=11), place / "data", processes=2)
        shutil.rmtree(place / "peace", ignore_errors=True)  # of a part that was cut off
        in_peace(place / "peace", state, given)
        logger.info("in peace: %.0f s, the first epoch after %.0f s", state.whole_s,
                    state.first_epoch_s)  # fmt: skip
        state.keep(state_file)
    if not under_fire(place, state, given, until=until):
        return NOT_YET
    last = place / state.folders[-1]
    ended_well(start(last, given), last)
    found = {name: differences(place / "peace", place / name) for name in state.folders}
    result = {
        "kills": len(state.epochs_done),
        "devices": given.devices,
        "trainings": len(state.folders),
        "epochs": given.epochs,
        "epochs_kept_at_each_kill": state.epochs_done,
        "compared": len(left_by(place / "peace")),
        "different": [f"{folder}: {name}" for folder, names in found.items() for name in names],
        "settings": list(SETTINGS),
    }
    logger.info("%s", json.dumps(result, indent=2))
    if given.results:
        given.results.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 1 if any(found.values()) else 0


def main() -> int:
    """Read the arguments; work in the folder given, or in one that is removed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    until = time.monotonic() + 60 * given.minutes
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
        return measure(given.folder.resolve(), given, until=until)
    with tempfile.TemporaryDirectory() as temporary:
        return measure(Path(temporary), given, until=until)


if __name__ == "__main__":
    sys.exit(main())
