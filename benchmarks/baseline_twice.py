"""Train the baseline's recipe in the small: twice in peace, and once killed again and again.

    OPEN_MS_DATA=... python benchmarks/baseline_twice.py [--cohort FOLDER]
        [--folder DIR --minutes 8] [--results FILE]

`experiment=baseline_first` as ``make baseline`` runs it, with every part that it has: heads drawn
at 1 mm with lesions of real masks, two loading processes, flips and dropped sequences, larger
patches at the end, the moving average, bf16 where the processor has it, whole-scan validation, the
operating point by its rule, registration. Only sizes are smaller: a network of a few thousand
weights, few heads and steps, five of the phantom's participants. Two trainings in folders of their
own, and one that is killed (SIGKILL, all its processes) while heads are drawn, between two epochs
and while it validates at the end: weights, averages, optimiser, operating point, the registered
version's bytes and every metric must be the same. Exits with 1 if anything differs.

``--cohort`` names a finished ``build/baseline/training``; without it the phantom is drawn.
With ``--folder`` the same command goes on where it stopped (after ``--minutes``, exit status 75).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kill_training import NOT_YET, ROOT, differences, epochs_kept, left_by

from lesion_dynamics.phantom.generate import generate
from lesion_dynamics.segmenter.fit import LAST_CHECKPOINT
from lesion_dynamics.settings.phantom import PhantomSettings

PARTICIPANTS = ("trainms01", "trainms05", "trainms12", "trainnmosd02", "trainnmosd09")
"""Of the baseline's phantom: three with MS, one without lesions, one with 0.6 ml at 0.85 mm."""
EPOCHS = 6
SMALLER = (
    "experiment=baseline_first", "synthesis.heads=3", "segmenter.network.channels=[4,8,8,8]",
    "segmenter.network.head_channels=2", "patch.size_voxels=32", "patch.batch=4",
    "patch.final_size_voxels=48", "patch.final_fraction=0.17", "optimiser.weight_average_decay=0.9",
    f"trainer.epochs={EPOCHS}", "trainer.steps_per_epoch=10", "optimiser.learning_rate=0.01",
    f"trainer.validate_every_epochs={EPOCHS}", "processes=1",
    "name=lesion-segmenter", "output=models/lesion-segmenter",
)  # fmt: skip
logger = logging.getLogger("baseline_twice")


def lay_out(cohort: Path, place: Path) -> None:
    """The few participants of a finished phantom, as a BIDS folder of their own."""
    masks = Path("derivatives/reference")
    for below in (Path(), masks):
        (place / below).mkdir(parents=True, exist_ok=True)
        for name in ("dataset_description.json", "participants.json"):
            if (cohort / below / name).is_file():
                shutil.copy(cohort / below / name, place / below / name)
        for who in PARTICIPANTS:
            shutil.copytree(cohort / below / f"sub-{who}", place / below / f"sub-{who}")
    lines = (cohort / "participants.tsv").read_text().splitlines(keepends=True)
    chosen = [one for one in lines[1:] if one[4:].partition("\t")[0] in PARTICIPANTS]
    (place / "participants.tsv").write_text("".join([lines[0], *chosen]))


def start(folder: Path) -> subprocess.Popen[bytes]:
    """The training of ``folder``, started or gone on with, in a process group of its own."""
    folder.mkdir(exist_ok=True)
    data = folder.parent / "cohort"
    own = [f"cohort.root={data}", f"cohort.reference_masks={data}/derivatives/reference"]
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *SMALLER, *own],
            cwd=folder, stdout=log, stderr=log, start_new_session=True,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )  # fmt: skip


def to_its_end(folder: Path) -> float:
    """Train, or go on, until it is done; seconds."""
    begin = time.monotonic()
    if start(folder).wait() != 0:
        raise SystemExit((folder / "log.txt").read_text()[-3000:])
    return time.monotonic() - begin


def moments(folder: Path) -> dict[str, Callable[[], bool]]:
    """When a training is killed: what must be there, by the moment's name."""
    runs = folder / "runs"
    return {
        "heads are drawn": lambda: bool(list(runs.glob("drawn_heads/*"))),
        "half of the epochs are done": lambda: (
            bool(list(runs.glob(f"*/{LAST_CHECKPOINT}"))) and epochs_kept(folder) >= EPOCHS // 2
        ),
        "it validates at the end": lambda: (
            bool(list(runs.glob(f"*/{LAST_CHECKPOINT}"))) and epochs_kept(folder) == EPOCHS
        ),
    }


def under_fire(folder: Path) -> dict[str, int]:
    """Kill one training at each moment; epochs that its checkpoint then held."""
    shutil.rmtree(folder, ignore_errors=True)
    kept = {}
    for name, there in moments(folder).items():
        process = start(folder)
        while not there():
            if process.poll() is not None:
                raise SystemExit(f"the training ended before {name}")
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kept[name] = epochs_kept(folder)
        logger.info("killed when %s", name)
    to_its_end(folder)
    return kept


def fingerprint(folder: Path) -> dict[str, Any]:
    """What a user would compare."""
    version = folder / "models/lesion-segmenter"
    weights = (version / "weights.safetensors").read_bytes()
    manifest = json.loads((version / "manifest.json").read_text())
    return {
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "operating_point": manifest["operating_point"],
        "mean_dice": manifest["validation"]["all"]["mean_dice"],
    }


def measure(place: Path, given: argparse.Namespace) -> int:
    """Whatever is not done yet; the result."""
    until = time.monotonic() + 60 * given.minutes
    if not (place / "cohort").is_dir():
        cohort = given.cohort
        if cohort is None:
            generate(PhantomSettings.of_variant("baseline"), place / "phantom", processes=2)
            cohort = place / "phantom" / "training"
        lay_out(cohort, place / "laid_out.partial")
        (place / "laid_out.partial").rename(place / "cohort")
    state_file = place / "state.json"
    state: dict[str, Any] = json.loads(state_file.read_text()) if state_file.is_file() else {}
    for name in ("first", "second", "killed"):
        if name in state:
            continue
        if time.monotonic() > until:
            return NOT_YET
        work = under_fire if name == "killed" else to_its_end
        state[name] = work(place / name)
        state_file.write_text(json.dumps(state, indent=2))
        logger.info("%s: %s, %s", name, state[name], fingerprint(place / name))
    different = {name: differences(place / "first", place / name) for name in ("second", "killed")}
    names = ("first", "second", "killed")
    prints = {name: fingerprint(place / name) for name in names}
    result = {
        "trainings": prints,
        "same_bytes": all(prints[name] == prints["first"] for name in names),
        "compared": len(left_by(place / "first")),
        "different": different,
        "killed_when_and_epochs_kept": state["killed"],
        "settings": list(SMALLER),
        "participants": list(PARTICIPANTS),
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }
    logger.info("%s", json.dumps(result, indent=2))
    if given.results:
        given.results.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if result["same_bytes"] and not any(different.values()) else 1


def main() -> int:
    """Read the arguments; work in the folder given, or in one that is removed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohort", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with tempfile.TemporaryDirectory() as temporary:
        place = (given.folder or Path(temporary)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        return measure(place, given)


if __name__ == "__main__":
    sys.exit(main())
