"""Make a release, then make it again from its lineage in a new clone; every byte must be the same.

python benchmarks/reproduce_release.py (make test-reproduce). In a repository of its own with the
small phantom and a training of two epochs: `dvc repro` makes the release (train, infer, analyze),
`lesion-dynamics reproduce` clones the repository at the recorded commit, brings the data by their
DVC hash, trains, infers and analyses by the recorded configuration, and compares. Exits with 1 if
a byte differs.
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

from repository_copy import dvc, python, repository

logger = logging.getLogger("reproduce_release")
RELEASE = "lesion-segmenter/1"


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
        begin = time.monotonic()
        dvc(place, "repro")
        made = time.monotonic() - begin
        logger.info("%s made by dvc repro: %.0f s", RELEASE, made)
        begin = time.monotonic()
        said = python(
            place, "-m", "lesion_dynamics.commands", "reproduce", f"model_version={RELEASE}",
            f"into={into}",
        )  # fmt: skip
        logger.info("%s(%.0f s)", said, time.monotonic() - begin)
        record = json.loads((into / "reproduction.json").read_text(encoding="utf-8"))
    files = Counter(one["kind"] for one in record["files"])
    weights = next(one for one in record["files"] if one["kind"] == "weights")
    found = {
        "model_version": RELEASE,
        "state": record["state"],
        "weights_sha256": weights["first"],
        "weights_sha256_again": weights["second"],
        "files_compared": dict(files),
        "files_that_differ": [one["name"] for one in record["files"] if not one["same"]],
        "seconds_made": round(made, 1),
        "seconds_again": record["seconds"],
        "machine": record["machine"],
    }
    if given.results is not None:
        given.results.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")
    return 0 if record["state"] == "same" else 1


if __name__ == "__main__":
    sys.exit(main())
