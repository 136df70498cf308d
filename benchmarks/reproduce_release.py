"""Make a release, then make it again from its lineage in a new clone; every byte must be the same.

python benchmarks/reproduce_release.py (make test-reproduce). In a repository of its own with the
small phantom and trainings of two epochs: `dvc repro` makes version 1 (train, infer, analyze); a
training that goes on from its weights, with its split, makes version 2, and `release` its study
beside version 1. `lesion-dynamics reproduce` clones the repository at the recorded commit, brings
the data by their DVC hash, trains, infers and analyses by the recorded configuration, and compares:
once version 2 with the study of both, once version 1's weights and volumes. Exits with 1 if a byte
differs.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from repository_copy import SMALL, dvc, python, repository

from lesion_dynamics.records.lineage import machine

logger = logging.getLogger("reproduce_release")
FIRST, SECOND = "lesion-segmenter/1", "lesion-segmenter/2"


def command(place: Path, *arguments: str) -> str:
    """A command of ``lesion-dynamics`` in the repository."""
    return python(place, "-m", "lesion_dynamics.commands", *arguments)


def made(place: Path) -> float:
    """Both versions and their study; the seconds."""
    begin = time.monotonic()
    dvc(place, "repro")
    went_on = (f"initial_model_version={FIRST}", f"split_from={FIRST}", "seed=2")
    python(place, "train.py", *SMALL["train"], *went_on, "output=models/second")
    command(place, "release", f"model_version={SECOND}")
    return time.monotonic() - begin


def made_again(place: Path, version: str, into: Path, *more: str) -> dict[str, Any]:
    """What the reproduction of a version found."""
    begin = time.monotonic()
    said = command(place, "reproduce", f"model_version={version}", f"into={into}", *more)
    logger.info("%s(%.0f s)", said, time.monotonic() - begin)
    record = json.loads((into / "reproduction.json").read_text(encoding="utf-8"))
    weights = next(one for one in record["files"] if one["kind"] == "weights")
    return {
        "model_version": version,
        "state": record["state"],
        "weights_sha256": weights["first"],
        "weights_sha256_again": weights["second"],
        "files_compared": dict(Counter(one["kind"] for one in record["files"])),
        "files_that_differ": [one["name"] for one in record["files"] if not one["same"]],
        "taken_as_they_were": record["taken_as_they_were"],
        "seconds": record["seconds"],
    }


def main() -> int:
    """Make, make again, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with tempfile.TemporaryDirectory() as temporary:
        place, into = Path(temporary) / "repository", Path(temporary) / "again"
        place.mkdir()
        repository(place)
        seconds = made(place)
        logger.info("%s and %s made: %.0f s", FIRST, SECOND, seconds)
        found = [
            made_again(place, SECOND, into / "second"),
            made_again(place, FIRST, into / "first", "results=null"),
        ]
    if given.results is not None:
        said = {"seconds_made": round(seconds, 1), "made_again": found, "machine": machine()}
        given.results.write_text(json.dumps(said, indent=2) + "\n")
    return 0 if all(one["state"] == "same" for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
