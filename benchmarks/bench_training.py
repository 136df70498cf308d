"""How fast training is fed, and how fast it goes: python benchmarks/bench_training.py.

    make bench-training; or in parts: --folder DIR --minutes 8 (exit status 75: call it again)

Prints a table and writes benchmarks/results/training.json. Each part runs in a process of its
own (``--part NAME``), so that memory is its own too. Ours is what train.py runs: Lightning's loop
over prepared scans. The plain loop is that of `plain_torchio_loop`, in float32 as its tutorials
have it, and once more with our step, so that only loading differs. Seconds belong to the machine;
ratios travel.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from training_parts import BATCH, CORES, PARTS, PATCH, ROOT, WITH_A_GPU, Found

from lesion_dynamics.waiting_threads import WAIT_POLICY

RESULTS = ROOT / "benchmarks" / "results" / "training.json"
NOT_YET = 75
"""Exit status: the time was over; the same command goes on."""
logger = logging.getLogger("bench_training")


def run_part(name: str, folder: Path) -> Found:
    """Measure one part in a fresh process."""
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    if name.startswith("ours"):  # as train.py says before it loads torch
        environment[WAIT_POLICY] = "PASSIVE"
    found = subprocess.run(
        [sys.executable, __file__, "--part", name, "--folder", str(folder)],
        check=True, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    result: Found = json.loads(found.stdout.splitlines()[-1])
    logger.info("%s: %s", name, result)
    return result


def summary(found: dict[str, Found]) -> dict[str, Any]:
    """Ratios first, then what was measured; what was not is named."""

    def times(ours: str, *plain: str) -> dict[str, dict[str, float]]:
        return {
            f"times_{name}": {unit: found[ours][unit] / found[name][unit] for unit in found[name]}
            for name in plain
            if {ours, name} <= found.keys()
        }

    result: dict[str, Any] = {
        "cores": CORES,
        "patch": PATCH,
        "batch": BATCH,
        "default_augmentation": times(
            "ours", "plain", "plain_same_step", "plain_one_patch_a_volume"
        ),
        "every_transform": times("ours_every_transform", "plain_every_transform"),
    }
    if {"loader", "step"} <= found.keys():
        share = found["loader"]["core_seconds_per_patch_64"] * BATCH
        result["loading_share_of_step"] = share / (share + found["step"]["core_seconds"])
    missing = [name for name in PARTS if name not in found]
    return result | {"measured": found} | ({"not_measured": missing} if missing else {})


def measure(folder: Path, *, minutes: float) -> int:
    """Every part that is not measured yet, while there is time."""
    kept, until = folder / "parts.json", time.monotonic() + 60 * minutes
    found: dict[str, Found] = json.loads(kept.read_text()) if kept.is_file() else {}
    for name in (name for name in PARTS if name not in found):
        if time.monotonic() > until:
            break
        found[name] = run_part(name, folder)
        kept.write_text(json.dumps(found), encoding="utf-8")
    result = summary(found)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    logger.info("%s", json.dumps(result, indent=2))
    return NOT_YET if "not_measured" in result else 0


def main() -> int:
    """Measure and write the result, or only one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=sorted(PARTS | WITH_A_GPU))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--minutes", type=float, default=1e6)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if given.part:
        sys.stdout.write(json.dumps((PARTS | WITH_A_GPU)[given.part](given.folder)) + "\n")
        return 0
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
        return measure(given.folder, minutes=given.minutes)
    with tempfile.TemporaryDirectory() as temporary:
        return measure(Path(temporary), minutes=given.minutes)


if __name__ == "__main__":
    sys.exit(main())
