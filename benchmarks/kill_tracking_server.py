"""Kill the tracking server at random moments of a training; the record must not notice.

python benchmarks/kill_tracking_server.py --kills 10 (make test-outage). A real ``mlflow server``
on loopback. One training records in peace; during the other the server is killed (SIGKILL) again
and again, and stays away for a while each time, past the training's end at last. Then it comes
back, and ``lesion-dynamics deliver`` brings what is left. Exits with 1 if the two runs differ in a
metric, a parameter, a file's bytes, the registered weights or the final state, or if anything is
recorded twice.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kill_training import EPOCHS, ROOT, SETTINGS
from mlflow import MlflowClient
from tracking_server import TrackingServer

from lesion_dynamics.phantom.generate import generate
from lesion_dynamics.settings.phantom import PhantomSettings

logger = logging.getLogger("kill_tracking_server")
OF_THE_RUN = {"lineage.json", "configuration.json"}
"""Files that name the folder of their run."""


def start(folder: Path, uri: str, epochs: int) -> subprocess.Popen[bytes]:
    """The training of ``folder``, recorded at ``uri``."""
    folder.mkdir()
    data = folder.parent / "data" / "training"
    own = [
        f"cohort.root={data}", f"cohort.reference_masks={data}/derivatives/reference",
        "tracking=server", f"trainer.epochs={epochs}", "tracking.wait_at_end_seconds=5",
        "trainer.early_stopping_patience=0",
    ]  # fmt: skip
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *SETTINGS, *own],
            cwd=folder, stdout=log, stderr=log,
            env=os.environ | {"PYTHONWARNINGS": "ignore", "MLFLOW_TRACKING_URI": uri},
        )  # fmt: skip


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


def record_of(uri: str) -> dict[str, Any]:
    """All that the only run of a store holds, without what differs between any two runs."""
    client = MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name("lesion-dynamics")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    if len(runs) != 1:
        return {"runs": len(runs)}
    run_id = runs[0].info.run_id
    with tempfile.TemporaryDirectory() as folder:
        files = {
            path: hashlib.sha256(Path(client.download_artifacts(run_id, path, folder)).read_bytes())
            .hexdigest()
            for path in paths_of(client, run_id)
        }  # fmt: skip
    versions = client.search_model_versions("name='lesion-segmenter'")
    same = ("runs", "output", "cohort", "tracking", "cache")
    return {
        "state": runs[0].info.status,
        "metrics": {
            name: [(one.step, one.value) for one in client.get_metric_history(run_id, name)]
            for name in runs[0].data.metrics
        },
        "parameters": {k: v for k, v in runs[0].data.params.items() if not k.startswith(same)},
        "files": {k: None if Path(k).name in OF_THE_RUN else v for k, v in files.items()},
        "versions": [(one.version, one.tags["weights_sha256"]) for one in versions],
    }


def paths_of(client: MlflowClient, run_id: str, folder: str | None = None) -> list[str]:
    """Every artifact of a run."""
    found = []
    for item in client.list_artifacts(run_id, folder):
        found += paths_of(client, run_id, item.path) if item.is_dir else [item.path]
    return found


def deliver(folder: Path, uri: str) -> None:
    """What is left, by the command of that name."""
    done = subprocess.run(
        [sys.executable, "-m", "lesion_dynamics.commands", "deliver", "tracking=server"],
        cwd=folder, env=os.environ | {"MLFLOW_TRACKING_URI": uri}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    logger.info("%s", done.stderr.strip().splitlines()[-1])


def main() -> int:
    """Train in peace, train through outages, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=20 * EPOCHS)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers end with it
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        generate(PhantomSettings.of_variant("small", seed=11), place / "data", processes=2)
        servers = [TrackingServer(place / name) for name in ("server1", "server2")]
        trainings: list[subprocess.Popen[bytes]] = []
        try:
            for server in servers:
                server.start()
            begin = time.monotonic()
            trainings.append(start(place / "peace", servers[0].uri, given.epochs))
            ended_well(trainings[-1], place / "peace")
            whole = time.monotonic() - begin
            begin = time.monotonic()
            trainings.append(start(place / "outage", servers[1].uri, given.epochs))
            killed = outages(
                servers[1], trainings[-1], kills=given.kills, whole=whole, seed=given.seed
            )
            ended_well(trainings[-1], place / "outage")
            through = time.monotonic() - begin
            servers[1].kill()
            servers[1].start()
            deliver(place / "outage", servers[1].uri)
            peace, outage = (record_of(server.uri) for server in servers)
        finally:
            for training in trainings:
                training.kill()
                training.wait()
            for server in servers:
                server.kill()
    different = [part for part in peace if peace[part] != outage.get(part)]
    logger.info(
        "server killed %d times; training %.1f s in peace, %.1f s through the outages (ratio %.3f);"
        " %d metric values, %d files; different: %s",
        *(killed, whole, through, through / whole),
        *(sum(map(len, peace["metrics"].values())), len(peace["files"]), different or "nothing"),
    )
    for part in different:
        logger.info("%s:\n  peace  %s\n  outage %s", part, peace[part], outage.get(part))
    return 1 if different or killed < given.kills else 0


if __name__ == "__main__":
    sys.exit(main())
