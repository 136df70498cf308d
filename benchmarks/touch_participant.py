"""What DVC redoes when one participant changes, and whether its remotes give back the same bytes.

python benchmarks/touch_participant.py (make test-data). In a copy of this repository with the small
phantom and a training of two epochs, through the stages of dvc.yaml as they stand:

1. `dvc repro`: everything is made.
2. One participant's FLAIR changes. `dvc repro`: the training must not run; of the inference only
   this participant's scans may be written anew; the analysis must run.
3. A participant with all sessions is added. `dvc repro`: as before, with the new scans alone.
4. `dvc push`, everything removed, `dvc pull`, from a folder and from an S3 store (moto) on
   loopback: the same bytes must come back.

Prints what was redone and how long it took; exits with 1 if anything else was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from repository_copy import dvc, repository
from server_stack import BUCKET, s3_server

from lesion_dynamics.records.lineage import machine

logger = logging.getLogger("touch_participant")
ADDED = "sub-added"
STAGES = ("train", "infer", "analyze")


def repro(place: Path) -> dict[str, Any]:
    """Run `dvc repro`; the stages that ran, the participants whose masks were written, seconds."""
    masks = {
        path: path.stat().st_mtime_ns
        for path in (place / "derivatives").rglob("*_label-L_mask.nii.gz")
    }
    begin = time.monotonic()
    said = dvc(place, "repro")
    seconds = time.monotonic() - begin
    ran = [line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")]
    written = {
        path.name.split("_")[0]
        for path in (place / "derivatives").rglob("*_label-L_mask.nii.gz")
        if masks.get(path) != path.stat().st_mtime_ns
    }
    logger.info(
        "  stages that ran: %s; participants segmented: %s; %.0f s",
        ", ".join(ran) or "none", ", ".join(sorted(written)) or "none", seconds,
    )  # fmt: skip
    return {"stages": ran, "participants": sorted(written), "seconds": round(seconds, 1)}


def only(done: dict[str, Any], stages: Sequence[str], participants: Sequence[str]) -> bool:
    """Whether this and nothing else was done."""
    return (done["stages"], done["participants"]) == ([*stages], [*participants])


def touch(place: Path) -> str:
    """Noise on the FLAIR of one participant's first session; who it is."""
    path = sorted((place / "data/study").glob("sub-*/ses-*/anat/*_FLAIR.nii.gz"))[0]
    image = nib.load(path)
    values = np.asarray(image.dataobj)
    noise = np.random.default_rng(1).normal(0, 0.01 * values.std(), values.shape)
    changed = (values + noise * (values > 0)).astype(values.dtype)  # outside the head stays 0
    nib.save(nib.Nifti1Image(changed, image.affine, image.header), path)
    return path.name.split("_")[0]


def add(place: Path) -> None:
    """A participant more: the last one's files under another name."""
    study = place / "data/study"
    last = sorted(path for path in study.glob("sub-*") if path.is_dir())[-1]
    for path in sorted(last.rglob("*")):
        if path.is_file():
            new = study / ADDED / str(path.relative_to(last)).replace(last.name, ADDED)
            new.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, new)
    for table in (study / "participants.tsv", study / "phenotype/attacks.tsv"):
        lines = table.read_text().splitlines()
        lines += [line.replace(last.name, ADDED) for line in lines if line.startswith(last.name)]
        table.write_text("\n".join(lines) + "\n")


def bytes_below(place: Path) -> dict[str, str]:
    """SHA-256 of every file that DVC keeps."""
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("data", "derivatives", "models", "results")
        for path in (place / folder).rglob("*")
        if path.is_file()
    }


def round_trip(place: Path, name: str) -> dict[str, Any]:
    """Push to a remote, remove everything here, pull; whether the same bytes are back."""
    before = bytes_below(place)
    begin = time.monotonic()
    dvc(place, "push", "--quiet", "--remote", name)
    pushed = time.monotonic()
    for folder in ("data", "derivatives", "models", "results", ".dvc/cache"):
        shutil.rmtree(place / folder)
    begin_pull = time.monotonic()
    dvc(place, "pull", "--quiet", "--remote", name)
    seconds = {"push": pushed - begin, "pull": time.monotonic() - begin_pull}
    same = bytes_below(place) == before
    logger.info("remote %s: %d files, %s", name, len(before), "the same" if same else "DIFFERENT")
    rounded = {key: round(value, 1) for key, value in seconds.items()}
    return {"files": len(before), "same_bytes": same, "seconds": rounded}


def redone(place: Path) -> tuple[dict[str, Any], bool]:
    """What each change makes DVC redo, and whether it is what it should be."""
    logger.info("the first time:")
    found = {"first time": repro(place)}
    logger.info("again, nothing changed:")
    found["nothing changed"] = repro(place)
    who = touch(place)
    logger.info("%s changed:", who)
    found[f"{who} changed"] = repro(place)
    add(place)
    logger.info("%s added:", ADDED)
    found[f"{ADDED} added"] = repro(place)
    good = (
        found["first time"]["stages"] == [*STAGES]
        and only(found["nothing changed"], (), ())
        and only(found[f"{who} changed"], STAGES[1:], (who,))
        and only(found[f"{ADDED} added"], STAGES[1:], (ADDED,))
    )
    return found, good


def main() -> int:
    """Make, touch, add, push and pull."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server ends with it
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
                   "AWS_DEFAULT_REGION": "us-east-1"}  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) / "repository"
        place.mkdir()
        repository(place)
        found, good = redone(place)
        dvc(place, "remote", "add", "folder", str(Path(temporary) / "remote"))
        remotes = {"folder": round_trip(place, "folder")}
        with s3_server(Path(temporary) / "s3") as address:
            dvc(place, "remote", "add", "s3", f"s3://{BUCKET}/dvc")
            dvc(place, "remote", "modify", "s3", "endpointurl", address)
            remotes["s3"] = round_trip(place, "s3")
    good &= all(remote["same_bytes"] for remote in remotes.values())
    if given.results is not None:
        said = {"dvc repro": found, "remotes": remotes, "as_it_should_be": good,
                "machine": machine()}  # fmt: skip
        given.results.write_text(json.dumps(said, indent=2) + "\n")
    logger.info("all as it should be" if good else "NOT as it should be")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
