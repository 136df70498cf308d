"""Kill an inference at random moments; its tables and files must not notice.

    python benchmarks/kill_inference.py --kills 20 [--executor ray] [--kinds worker]
        [--folder DIR --minutes 8] [--results FILE]

A part of make test-kill. The study of the small phantom and a network of a few thousand weights.
One inference runs in peace; others are killed (SIGKILL), in turn with all their processes, the
main process alone (its workers must follow), and one worker (the run must go on by itself), or
only as ``--kinds`` says. At every moment between, looked at five times a second and after every
kill, each file that stands under a final name must be, byte for byte, the file of the inference in
peace; after the next run all of them must be there, and nothing else. Exits with 1 if not.

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

import psutil

from lesion_dynamics.file_locks import LOCK_FILE
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
KINDS = ("all", "main", "worker")
NOT_YET = 75
"""Exit status: the time was over; the same command goes on."""
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
    found = {}
    for path in sorted(path for path in output.rglob("*") if path.is_file()):
        try:
            found[str(path.relative_to(output))] = path.read_bytes()
        except FileNotFoundError:  # unfinished, and named or removed since it was listed
            continue
    return found


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


@dataclass
class State:
    """What has been done; kept in the folder.

    whole_s : an undisturbed run. kills : of each kind. files : of the output. looks : how often
    all standing files were compared. ended : runs that ended and were compared as a whole.
    """

    whole_s: float = 0.0
    files: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    looks: int = 0
    ended: int = 0
    number: int = 1
    wrong: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> State:
        """The state of an earlier part, or a fresh one."""
        return cls(**json.loads(path.read_text())) if path.is_file() else cls()

    @property
    def killed(self) -> int:
        """Kills of all kinds."""
        return sum(self.kills.values())

    def keep(self, path: Path) -> None:
        """For the next part."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def under_fire(place: Path, state: State, given: argparse.Namespace, *, until: float) -> bool:
    """Kill inferences until there were enough; whether there was time for that."""
    rng = random.Random(given.seed + state.killed)  # noqa: S311
    right = files(place / "peace")
    kept = place / f"{given.executor}.json"
    folder = place / f"{given.executor}{state.number}"
    process = infer(folder, given.executor)
    while state.killed < given.kills:
        kind = given.kinds[state.killed % len(given.kinds)]
        watch(folder, right, state, seconds=rng.uniform(0.1, 0.9) * state.whole_s)
        if process.poll() is None and strike(process, kind, rng):
            state.kills[kind] = state.kills.get(kind, 0) + 1
            look(folder, right, state, at=f"kill {state.killed} ({kind})")
            logger.info("kill %d of %d (%s): %d files stand", state.killed, given.kills, kind,
                        len(files(folder)))  # fmt: skip
            state.keep(kept)
        if process.poll() is None:
            continue
        if process.returncode == 0:
            compare(folder, right, state)
            state.number += 1
            folder = place / f"{given.executor}{state.number}"
        elif process.returncode != -signal.SIGKILL:
            finish(process, folder)
        if time.monotonic() > until:
            state.keep(kept)
            return False
        process = infer(folder, given.executor)
    finish(process, folder) if process.poll() != -signal.SIGKILL else process.wait()
    finish(infer(folder, given.executor), folder)
    compare(folder, right, state)
    state.keep(kept)
    return True


def watch(folder: Path, right: dict[str, bytes], state: State, *, seconds: float) -> None:
    """Look at the files for some seconds."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.2))
        look(folder, right, state, at="between kills")


def look(folder: Path, right: dict[str, bytes], state: State, *, at: str) -> None:
    """Note files under a final name that are not what they must become."""
    state.looks += 1
    state.wrong += [
        f"{folder.name} {at}: {name} is not whole"
        for name, content in files(folder).items()
        if not Path(name).name.startswith(".partial-")
        and name != LOCK_FILE
        and right.get(name) != content
    ]


def compare(folder: Path, right: dict[str, bytes], state: State) -> None:
    """Note what differs from the inference in peace when a run has ended."""
    standing = files(folder)
    state.ended += 1
    names = sorted(set(standing) | set(right))
    state.wrong += [f"{folder.name}: {n}" for n in names if standing.get(n) != right.get(n)]


def prepare(place: Path) -> None:
    """The phantom, a model version, and the inference in peace."""
    if not (place / "data").is_dir():
        generate(PhantomSettings.of_variant("small", seed=11), place / "data", processes=2)
    data = place / "data/training"
    masks = f"cohort.reference_masks={data}/derivatives/reference"
    training = place / "training"
    if not (training / "models").is_dir():
        finish(start("train.py", training, *TRAINING, f"cohort.root={data}", masks), training)
    finish(infer(place / "peace"), place / "peace")


def run(place: Path, given: argparse.Namespace) -> State | None:
    """Everything, or as much as there is time for (None)."""
    until = time.monotonic() + 60 * given.minutes
    prepare(place)
    state = State.read(place / f"{given.executor}.json")
    if not state.whole_s:
        begin, undisturbed = time.monotonic(), place / f"{given.executor}0"
        finish(infer(undisturbed, given.executor), undisturbed)
        state.whole_s = round(time.monotonic() - begin, 1)
        state.files = len(files(undisturbed))
        compare(undisturbed, files(place / "peace"), state)
        logger.info("undisturbed: %.1f s, %d files", state.whole_s, state.files)
    return state if under_fire(place, state, given, until=until) else None


def main() -> int:
    """Train, infer in peace, infer under fire, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--executor", choices=["local", "ray"], default="local")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if given.folder is not None:
        given.folder.mkdir(parents=True, exist_ok=True)
        state = run(given.folder.resolve(), given)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            state = run(Path(temporary), given)
            if state is not None and state.wrong:
                shutil.copytree(temporary, Path(tempfile.mkdtemp()) / "kept")
    if state is None:
        return NOT_YET
    logger.info("%d kills; wrong: %s", state.killed, state.wrong)
    if given.results is not None:
        write(given.results, given.executor, state)
    return 1 if state.wrong else 0


def write(path: Path, executor: str, state: State) -> None:
    """The results of one executor beside those of the other."""
    found = json.loads(path.read_text()) if path.is_file() else {}
    found[executor] = {k: v for k, v in asdict(state).items() if k != "number"}
    path.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
