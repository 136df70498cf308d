"""Kill an inference at random moments; its tables and files must not notice.

python benchmarks/kill_inference.py --kills 20 [--executor ray] (a part of make test-kill). The
study of the small phantom and a network of a few thousand weights. One inference runs in peace;
others are killed (SIGKILL), in turn with all their processes, the main process alone (its workers
must follow), and one worker (the run must go on by itself). After every kill each file that stands
under a final name must be, byte for byte, the file of the inference in peace; after the next run
all of them must be there, and nothing else. Exits with 1 if not.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from lesion_dynamics.output_lock import LOCK_FILE
from lesion_dynamics.phantom.generate import generate
from lesion_dynamics.settings.phantom import PhantomSettings

ROOT = Path(__file__).parents[1]
TRAINING = (
    "segmenter.spacing_mm=3", "segmenter.network.channels=[4,8,8]",
    "segmenter.network.head_channels=2", "segmenter.preprocessing.bias_field.iterations=[5]",
    "segmenter.window.size_voxels=[32,32,32]", "segmenter.precision=float32",
    "patch.size_voxels=16", "trainer.epochs=1", "trainer.steps_per_epoch=1",
    "trainer.validate_every_epochs=1", "trainer.accelerator=cpu", "trainer.workers=0",
    "trainer.threads=1", "processes=1", "validation_fraction=0.4",
)  # fmt: skip
OUTPUT = "derivatives/study/lesion-segmenter-v1"
logger = logging.getLogger("kill_inference")


def start(script: str, folder: Path, *overrides: str) -> subprocess.Popen[bytes]:
    """A command in ``folder``, with its processes in a group of its own."""
    folder.mkdir(exist_ok=True)
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(ROOT / script), *overrides],
            cwd=folder, stdout=log, stderr=log, start_new_session=True,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )  # fmt: skip


def infer(folder: Path, executor: str = "local") -> subprocess.Popen[bytes]:
    """The inference of ``folder``, started or gone on with."""
    place = folder.parent
    return start(
        "infer.py", folder, f"cohort.root={place / 'data/study'}",
        f"executor={executor}", "executor.processes=2",
        f"model_version={place / 'training/models/lesion-segmenter'}", "cache.folder=cache",
    )  # fmt: skip


def finish(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for the end; it must be a good one."""
    if process.wait() != 0:
        logger.error("%s", (folder / "log.txt").read_text()[-3000:])
        raise SystemExit(f"{folder.name}: ended with status {process.returncode}")


def files(folder: Path) -> dict[str, bytes]:
    """Every file of the output, by its name below the folder."""
    output = folder / OUTPUT
    found = sorted(path for path in output.rglob("*") if path.is_file())
    return {str(path.relative_to(output)): path.read_bytes() for path in found}


def strike(process: subprocess.Popen[bytes], kind: str, rng: random.Random) -> bool:
    """Kill as ``kind`` says; whether there was anything to kill."""
    if kind == "all":
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if any(word in " ".join(child.cmdline()) for word in ("spawn_main", "ray::_Actor"))
    ]
    if kind == "main":
        process.kill()
        process.wait()
        psutil.wait_procs(workers, timeout=60)
        return True
    if workers:
        rng.choice(workers).kill()
    return bool(workers)


def under_fire(place: Path, *, kills: int, whole: float, seed: int, executor: str) -> list[str]:
    """Kill inferences ``kills`` times in all; what was wrong at any moment."""
    rng = random.Random(seed)  # noqa: S311
    kinds = ("all", "main", "worker")
    right = files(place / "peace")
    wrong: list[str] = []
    number, killed = 1, 0
    folder = place / "fire1"
    process = infer(folder, executor)
    while killed < kills:
        kind = kinds[killed % len(kinds)]
        time.sleep(rng.uniform(0.1, 0.9) * whole)
        if process.poll() is None and strike(process, kind, rng):
            killed += 1
            wrong += partial_files(folder, right, at=f"kill {killed} ({kind})")
            logger.info("kill %d of %d (%s): %d files stand", killed, kills, kind,
                        len(files(folder)))  # fmt: skip
        if process.poll() is None:
            continue
        if process.returncode == 0:
            wrong += differences(folder, right)
            number += 1
            folder = place / f"fire{number}"
        elif process.returncode != -signal.SIGKILL:
            finish(process, folder)
        process = infer(folder, executor)
    finish(process, folder)
    finish(infer(folder, executor), folder)
    return wrong + differences(folder, right)


def partial_files(folder: Path, right: dict[str, bytes], *, at: str) -> list[str]:
    """Files under a final name that are not what they must become."""
    standing = files(folder)
    return [
        f"{at}: {name} is not whole"
        for name, content in standing.items()
        if not Path(name).name.startswith(".partial-")
        and name != LOCK_FILE
        and right.get(name) != content
    ]


def differences(folder: Path, right: dict[str, bytes]) -> list[str]:
    """What differs from the inference in peace when a run has ended."""
    standing = files(folder)
    names = sorted(set(standing) | set(right))
    return [f"{folder.name}: {n}" for n in names if standing.get(n) != right.get(n)]


def main() -> int:
    """Train, infer in peace, infer under fire, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--executor", choices=["local", "ray"], default="local")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        generate(PhantomSettings.of_variant("small", seed=11), place / "data", processes=2)
        data = place / "data/training"
        masks = f"cohort.reference_masks={data}/derivatives/reference"
        training = place / "training"
        finish(start("train.py", training, *TRAINING, f"cohort.root={data}", masks), training)
        begin = time.monotonic()
        finish(infer(place / "peace"), place / "peace")
        whole = time.monotonic() - begin
        logger.info("in peace: %.1f s, %d files", whole, len(files(place / "peace")))
        wrong = under_fire(
            place, kills=given.kills, whole=whole, seed=given.seed, executor=given.executor
        )
        if wrong:
            shutil.copytree(place, Path(tempfile.mkdtemp()) / "kept")
    logger.info("%d kills; wrong: %s", given.kills, wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
