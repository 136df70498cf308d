"""A node of a Ray cluster dies during an inference; its scans are done again elsewhere.

    python benchmarks/kill_node.py [--deaths 3] [--folder DIR] [--results FILE]

A part of make test-kill. Two nodes of a cluster on this computer, one core each, and the small
phantom of kill_inference.py. In every round the raylet of one node, with its worker, is killed at
a random moment after the first scan was written (a node that loses its power looks like that to
the others), and the run must end by itself. Its files and tables must be, byte for byte, those of
an inference in peace, and no scan may stand twice in the table. Exits with 1 if not.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kill_inference import OUTPUT, ROOT, files, finish, prepare, start

TABLE = "lesion_measurements.tsv"
logger = logging.getLogger("kill_node")


def infer(folder: Path, address: str) -> subprocess.Popen[bytes]:
    """The inference of ``folder`` on a running cluster."""
    place = folder.parent
    return start(
        "infer.py", folder, f"cohort.root={place / 'data/study'}",
        "executor=ray", f"executor.address={address}",
        f"model_version={place / 'training/models/lesion-segmenter'}", "cache.folder=cache",
    )  # fmt: skip


def one_death(place: Path, number: int, rng: random.Random) -> dict[str, Any]:
    """One inference and the death of a node; what was found wrong."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    folder = place / f"node{number}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        begun = time.monotonic()
        process = infer(folder, cluster.address)
        while process.poll() is None and not list((folder / OUTPUT).rglob("*_mask.json")):
            time.sleep(0.1)
        time.sleep(rng.uniform(0.0, 3.0))
        standing = len(list((folder / OUTPUT).rglob("*_mask.json")))
        alive = process.poll() is None
        cluster.remove_node(second, allow_graceful=False)
        finish(process, folder)
        ended = time.monotonic() - begun
    finally:
        cluster.shutdown()
    found, right = files(folder), files(place / "peace")
    names = sorted(set(found) | set(right))
    keys = [line.split(b"\t")[:2] for line in found[TABLE].splitlines()[1:]]
    log = (folder / "log.txt").read_text()
    return {
        "died_during_the_run": alive,
        "scans_written_before": standing,
        "scans": len(keys),
        "seconds": round(ended, 1),
        "done_again": log.count("a process died; its work is done again"),
        "wrong": [n for n in names if found.get(n) != right.get(n)]
        + [f"twice: {key}" for key in keys if keys.count(key) > 1],
    }


def main() -> int:
    """Prepare, let nodes die, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deaths", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYTHONPATH"] = str(ROOT / "src")
    rng = random.Random(given.seed)  # noqa: S311
    place = (given.folder or Path(tempfile.mkdtemp())).resolve()
    place.mkdir(parents=True, exist_ok=True)
    prepare(place)
    deaths = []
    for number in range(given.deaths):
        deaths.append(one_death(place, number, rng))
        logger.info("death %d: %s", number + 1, json.dumps(deaths[-1]))
    if given.results is not None:
        given.results.write_text(json.dumps(deaths, indent=2) + "\n", encoding="utf-8")
    return 1 if any(one["wrong"] or not one["died_during_the_run"] for one in deaths) else 0


if __name__ == "__main__":
    sys.exit(main())
