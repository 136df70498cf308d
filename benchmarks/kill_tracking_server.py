"""Kill the tracking server at random moments of a training; the record must not notice.

python benchmarks/kill_tracking_server.py --kills 10 (make test-outage). A real ``mlflow server``
on loopback. One training records in peace; during the other the server is killed (SIGKILL) again
and again, and stays away for a while each time, past the training's end at last. Then it comes
back, and ``lesion-dynamics deliver`` brings what is left. Exits with 1 if the two runs differ in a
metric or its order, a parameter, a tag, a file's bytes, the registered weights or the final state,
if anything is recorded twice, or if the outages cost more than 5% of the training's time.

``--pairs 2`` trains twice each, in turns, and compares the times' medians. The time is the
training's own: from its first epoch's metrics to its last one's, by the clock of the training, so
neither the start nor the wait for the server at the end is in it. A group's server stands on
another machine: here training and servers have a core each, so that a server that starts takes
nothing from the training. ``--folder`` and ``--minutes`` split it: the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kill_training import EPOCHS, ROOT, SETTINGS
from run_record import record_of, training_seconds
from tracking_server import TrackingServer

from lesion_dynamics.phantom.generate import generate
from lesion_dynamics.settings.phantom import PhantomSettings

logger = logging.getLogger("kill_tracking_server")
NOT_DONE = 75
LONGEST_RATIO = 1.05
"""Of the training's time through outages to that in peace."""
_CORES = sorted(os.sched_getaffinity(0))
TRAINING_CORES, SERVER_CORES = set(_CORES[:1]), set(_CORES[1:] or _CORES)


def start(folder: Path, uri: str, epochs: int) -> subprocess.Popen[bytes]:
    """The training of ``folder``, recorded at ``uri``, on a core of its own."""
    folder.mkdir()
    data = folder.parents[1] / "data" / "training"
    own = [
        f"cohort.root={data}", f"cohort.reference_masks={data}/derivatives/reference",
        "tracking=server", f"trainer.epochs={epochs}", "tracking.wait_at_end_seconds=5",
        "trainer.early_stopping_patience=0",
    ]  # fmt: skip
    whole = os.sched_getaffinity(0)
    os.sched_setaffinity(0, TRAINING_CORES)  # handed on to the process that starts now
    try:
        with (folder / "log.txt").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(ROOT / "train.py"), *SETTINGS, *own],
                cwd=folder, stdout=log, stderr=log,
                env=os.environ | {"PYTHONWARNINGS": "ignore", "MLFLOW_TRACKING_URI": uri},
            )  # fmt: skip
    finally:
        os.sched_setaffinity(0, whole)


def ended_well(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Stop here if the training failed."""
    if process.wait() != 0:
        raise SystemExit(f"the training failed: {(folder / 'log.txt').read_text()[-2000:]}")


def outages(
    server: TrackingServer,
    training: subprocess.Popen[bytes],
    *,
    kills: int,
    whole: float,
    seed: int,
) -> int:
    """Kill the server at random moments, each time when it answers; how often it was done.

    Each time it is away for a random while; at last past the end of the training.
    """
    rng = random.Random(seed)  # noqa: S311
    for done in range(kills):
        time.sleep(rng.uniform(0.05, 0.5) * whole / kills)
        if training.poll() is not None:
            return done
        server.kill()
        logger.info("killed %d times", done + 1)
        if done + 1 < kills:
            time.sleep(rng.uniform(0.05, 0.3) * whole / kills)
            server.start()
    return kills


def until_it_learns(folder: Path, training: subprocess.Popen[bytes]) -> None:
    """Wait for the metrics of the first epoch."""
    while training.poll() is None:
        journals = (folder / "tracking" / "spool").glob("*/journal.jsonl")
        if any(b'"metrics"' in journal.read_bytes() for journal in journals):
            return
        time.sleep(0.1)


def deliver(folder: Path, uri: str) -> None:
    """What is left, by the command of that name."""
    done = subprocess.run(
        [sys.executable, "-m", "lesion_dynamics.commands", "deliver", "tracking=server"],
        cwd=folder, env=os.environ | {"MLFLOW_TRACKING_URI": uri}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    logger.info("%s", done.stderr.strip().splitlines()[-1])


def peace(place: Path, epochs: int) -> dict[str, Any]:
    """A training that is left alone: seconds, record."""
    server = TrackingServer(place / "server1")
    server.start()
    try:
        training = start(place / "peace", server.uri, epochs)
        try:
            ended_well(training, place / "peace")
        finally:
            training.kill()
        return {"seconds": training_seconds(server.uri), "record": record_of(server.uri)}
    finally:
        server.kill()


def outage(place: Path, epochs: int, *, kills: int, whole: float, seed: int) -> dict[str, Any]:
    """A training whose server is killed again and again: seconds, record, kills."""
    server = TrackingServer(place / "server2")
    server.start()
    try:
        training = start(place / "outage", server.uri, epochs)
        try:
            until_it_learns(place / "outage", training)
            killed = outages(server, training, kills=kills, whole=whole, seed=seed)
            ended_well(training, place / "outage")
        finally:
            training.kill()
        server.kill()
        server.start()
        deliver(place / "outage", server.uri)
        seconds = training_seconds(server.uri)
        return {"seconds": seconds, "record": record_of(server.uri), "kills": killed}
    finally:
        server.kill()


def halves(pairs: int) -> list[tuple[int, str]]:
    """Pairs of trainings, in peace and through outages, the first of a pair in turns."""
    orders = (("peace", "outage"), ("outage", "peace"))
    return [(number, which) for number in range(pairs) for which in orders[number % 2]]


def summary(done: dict[tuple[int, str], dict[str, Any]]) -> dict[str, Any]:
    """Figures over all trainings so far; every record against that of the first one in peace."""
    seconds = {
        which: [round(one["seconds"], 2) for (_, half), one in done.items() if half == which]
        for which in ("peace", "outage")
    }
    median = {which: statistics.median(all_of) for which, all_of in seconds.items()}
    record = done[0, "peace"]["record"]
    different = set()
    for key, one in done.items():
        for part in record.keys() | one["record"].keys():
            if one["record"].get(part) != record.get(part):
                different.add(part)
                logger.info("%s: %s\n  %s", key, part, one["record"].get(part))
    return {
        "server_killed": [one["kills"] for one in done.values() if "kills" in one],
        "training_seconds_in_peace": seconds["peace"],
        "training_seconds_through_outages": seconds["outage"],
        "ratio_of_medians": round(median["outage"] / median["peace"], 4),
        "metric_values": sum(map(len, record["metrics"].values())),
        "files": len(record["files"]),
        "different": sorted(different),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
    }


def main() -> int:
    """Train in peace, train through outages, compare; as often as asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=5 * EPOCHS)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep finished trainings here, and go on")
    parser.add_argument("--minutes", type=float, help="begin no training later than this")
    parser.add_argument("--results", type=Path, help="write the figures to this JSON file")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers end with it
    os.sched_setaffinity(0, SERVER_CORES)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        if not (folder / "data" / "training").is_dir():
            generate(PhantomSettings.of_variant("small", seed=11), folder / "data", processes=2)
        done: dict[tuple[int, str], dict[str, Any]] = {}
        for number, which in halves(given.pairs):
            kept = folder / f"{which}{number}.json"
            if not kept.is_file():
                if given.minutes is not None and time.monotonic() - begin > 60 * given.minutes:
                    logger.info("the same command goes on after %d trainings", len(done))
                    return NOT_DONE
                place = folder / f"{which}{number}"
                shutil.rmtree(place, ignore_errors=True)
                if which == "peace":
                    made = peace(place, given.epochs)
                else:
                    whole = done[0, "peace"]["seconds"]
                    seed = given.seed + number
                    made = outage(place, given.epochs, kills=given.kills, whole=whole, seed=seed)
                logger.info("%s: %.1f s", place.name, made["seconds"])
                kept.write_text(json.dumps(made), encoding="utf-8")
            done[number, which] = json.loads(kept.read_text(encoding="utf-8"))
    found = summary(done)
    logger.info("%s", json.dumps(found, indent=2))
    if given.results is not None:
        given.results.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    bad = found["different"] or found["ratio_of_medians"] > LONGEST_RATIO
    return 1 if bad or min(found["server_killed"]) < given.kills else 0


if __name__ == "__main__":
    sys.exit(main())
