"""Fill the disk under a training, and under an inference; nothing may be lost.

    python benchmarks/full_disk.py [--only NAME] [--folder DIR --minutes 8] [--results FILE]

Needs root, for a small tmpfs is mounted where each training writes, and a file in it takes the
room at the moment named: while scans are prepared, while heads are drawn, between two
checkpoints, under the tracking store, and just before the model version is written or registered.
What then happens must end in one line (or, where only the record is concerned, go on), leave no
half-written file, and keep the last checkpoint; after space is made the same command must end with
what an undisturbed training has, bit for bit (`kill_training.differences`). With ``--folder`` the
undisturbed training and scenarios that are done are found again (after ``--minutes``, exit status
75). Exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from disk_scenarios import DRAWN, SCENARIOS, TRAINING, Scenario
from kill_training import NOT_YET, ROOT, differences
from small_disk import Disk

from lesion_dynamics.phantom.generate import generate
from lesion_dynamics.segmenter.fit import LAST_CHECKPOINT
from lesion_dynamics.settings.phantom import PhantomSettings

INFERENCE = "inference"
ONE_LINE = re.compile(r"^\S.*: the disk is full; nothing was half-written \([\d.]+ MB free.*\)\. ")
logger = logging.getLogger("full_disk")


def start(
    folder: Path, data: Path, settings: Sequence[str], *extra: str
) -> subprocess.Popen[bytes]:
    """The training of ``folder``, in a process group of its own, its log beside it."""
    cohort = data / "training"
    own = [f"cohort.root={cohort}", f"cohort.reference_masks={cohort}/derivatives/reference"]
    log = folder.with_suffix(".log")
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *settings, *own, *extra],
            cwd=folder, stdout=file, stderr=file, start_new_session=True,
            env=os.environ | {"PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip


def epochs_kept(folder: Path) -> int:
    """Epochs in the last checkpoint, which must be readable."""
    last = list((folder / "runs").glob(f"lesion-segmenter-*/{LAST_CHECKPOINT}"))
    return int(torch.load(last[0], weights_only=True)["epoch"]) + 1 if last else 0


def there(folder: Path, pattern: str) -> Callable[[], bool]:
    """Whether something below the folder has this name, and holds the text after a colon."""
    name, _, text = pattern.partition(":")
    return lambda: any(text in one.read_text() if text else True for one in folder.glob(name))


@contextmanager
def held(process: subprocess.Popen[bytes], moment: Callable[[], bool]) -> Iterator[None]:
    """Wait for a moment, and hold the process still while the block runs."""
    while not moment():
        if process.poll() is not None:
            raise SystemExit("the training ended before its disk was filled")
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGSTOP)
    yield
    os.killpg(process.pid, signal.SIGCONT)


def trained_in_peace(folder: Path, data: Path, settings: Sequence[str]) -> Path:
    """The undisturbed training; it is done once."""
    if not (folder / "models").is_dir():
        shutil.rmtree(folder, ignore_errors=True)  # of a part that was cut off
        folder.mkdir()
        if start(folder, data, settings).wait() != 0:
            raise SystemExit(folder.with_suffix(".log").read_text()[-2000:])
    return folder


def wait_for_line(folder: Path, process: subprocess.Popen[bytes], words: str) -> None:
    """Until the training has said so."""
    while words not in folder.with_suffix(".log").read_text():
        if process.poll() is not None:
            raise SystemExit(f"the training ended without saying {words!r}")
        time.sleep(0.02)


def play(folder: Path, data: Path, scenario: Scenario) -> dict[str, Any]:
    """Fill, look, make room, start again; what was seen."""
    peace = trained_in_peace(folder.with_name(scenario.peace), data, scenario.settings)
    folder.mkdir()
    disk = Disk(folder / scenario.mount, size_mb=500 if scenario.drawn else 60)
    try:
        for name in scenario.given:
            (folder / "runs").mkdir(exist_ok=True)
            shutil.copytree(peace / "runs" / name, folder / "runs" / name)
        if scenario.moment is None:
            disk.fill(but_mb=scenario.but_mb)
        process = start(folder, data, scenario.settings, *scenario.extra)
        if scenario.moment is not None:
            with held(process, there(folder, scenario.moment)):
                disk.fill(but_mb=scenario.but_mb)
        if scenario.room_after is not None:
            wait_for_line(folder, process, scenario.room_after)
            disk.make_room()
        status = process.wait(timeout=400)
        log = folder.with_suffix(".log").read_text()
        seen = {
            "exit_status": status,
            "said": [cut(line, folder) for line in log.splitlines() if "disk is full" in line],
            "traceback": "Traceback" in log,
            "unfinished_files": len(list(folder.rglob(".partial-*"))),
            "epochs_kept": epochs_kept(folder),
        }
        disk.make_room()
        again = start(folder, data, scenario.settings, *scenario.extra)
        seen["exit_status_after_room"] = again.wait(timeout=400)
        log = folder.with_suffix(".log").read_text()
        seen["traceback"] = "Traceback" in log
        seen["different"] = differences(peace, folder)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        disk.unmount()
    one_line = [one for one in seen["said"] if ONE_LINE.match(one)]
    seen["good"] = (
        status == scenario.ends
        and seen["exit_status_after_room"] == 0
        and not seen["traceback"]
        and not seen["unfinished_files"]
        and not seen["different"]
        and (len(one_line) >= 1 if scenario.ends else True)
    )
    return seen


def infer(place: Path, folder: Path, data: Path) -> tuple[int, str]:
    """Segment the study with the undisturbed training's version; exit status and what was said."""
    peace = place / "peace"
    done = subprocess.run(
        [sys.executable, str(ROOT / "infer.py"), f"cohort.root={data / 'study'}",
         f"model_version={peace / 'models/lesion-segmenter'}",
         f"tracking.folder={peace / 'tracking'}",
         f"output={folder}", "cache.folder=null", "executor.processes=1"],
        cwd=place, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    return done.returncode, done.stderr


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below, by its name."""
    names = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in names}


def play_inference(folder: Path, data: Path, but_mb: float = 0.3) -> dict[str, Any]:
    """As `play`, for ``infer.py``; what an undisturbed one has is made once."""
    place, peace = folder.parent, folder.with_name("peace-inference")
    trained_in_peace(place / "peace", data, [*TRAINING, "trainer.devices=1"])
    if not peace.is_dir() and infer(place, peace, data)[0] != 0:
        raise SystemExit("the inference failed by itself")
    disk = Disk(folder, size_mb=60)
    try:
        disk.fill(but_mb=but_mb)
        status, said = infer(place, folder, data)
        disk.make_room()
        left = files_of(folder)
        seen = {
            "exit_status": status,
            "said": [cut(line, folder) for line in said.splitlines() if "disk is full" in line],
            "traceback": "Traceback" in said,
            "unfinished_files": sum(".partial-" in name for name in left),
            "scans_kept": sum(name.endswith("_mask.nii.gz") for name in left),
            "table": any(name.endswith("lesion_measurements.tsv") for name in left),
        }
        seen["exit_status_after_room"], _ = infer(place, folder, data)
        now, wanted = files_of(folder), files_of(peace)
        seen["different"] = sorted(
            name for name in now.keys() | wanted.keys() if now.get(name) != wanted.get(name)
        )
    finally:
        disk.unmount()
    ended = (seen["exit_status"], seen["exit_status_after_room"]) == (2, 0)
    wrong = ("traceback", "unfinished_files", "table", "different")
    seen["good"] = ended and not any(seen[name] for name in wrong)
    return seen


def cut(line: str, folder: Path) -> str:
    """A line without the place of the folder."""
    return line.replace(f"{folder}/", "")


def main() -> int:
    """Read the arguments; train in peace; play what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=[*SCENARIOS, INFERENCE])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with tempfile.TemporaryDirectory() as temporary:
        place = (given.folder or Path(temporary)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        return measure(place, given)


def measure(place: Path, given: argparse.Namespace) -> int:
    """All scenarios that are not in the state file yet."""
    until = time.monotonic() + 60 * given.minutes
    data, state_file = place / "data", place / "state.json"
    if not data.is_dir():
        generate(PhantomSettings.of_variant("small", seed=11), data, processes=2)
    state: dict[str, Any] = json.loads(state_file.read_text()) if state_file.is_file() else {}
    asked = given.only or [*SCENARIOS, INFERENCE]
    for name in asked:
        if name in state and not given.only:
            continue
        if time.monotonic() > until:
            return NOT_YET
        folder = place / name.replace(",", "").replace(" ", "-")
        subprocess.run(["rm", "-rf", str(folder), str(folder.with_suffix(".log"))], check=True)
        begin = time.monotonic()
        if name == INFERENCE:
            state[name] = play_inference(folder, data)
        else:
            state[name] = play(folder, data, SCENARIOS[name])
        logger.info("%s (%.0f s): %s", name, time.monotonic() - begin,
                    json.dumps(state[name], indent=2))  # fmt: skip
        state_file.write_text(json.dumps(state, indent=2))
    if given.results:
        left = [name for name in [*SCENARIOS, INFERENCE] if name not in state]
        result = {
            "not_run": left,
            "settings": TRAINING,
            "settings_drawn": DRAWN,
            "scenarios": state,
        }
        given.results.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if all(state[name]["good"] for name in asked) else 1


if __name__ == "__main__":
    sys.exit(main())
