"""What DVC redoes when one participant changes, and whether its remotes give back the same bytes.

python benchmarks/touch_participant.py (make test-data). In a copy of this repository with the small
phantom and a training of two epochs, through the stages of dvc.yaml as they stand:

1. `dvc repro`: everything is made.
2. One participant's FLAIR changes. `dvc repro`: the training must not run; of the inference only
   this participant's scans may be written anew; the analysis must run.
3. A participant with all sessions is added. `dvc repro`: as before, with the new scans alone.
4. `dvc push`, everything removed, `dvc pull`, from a folder and from an S3 store (moto) on
   loopback: the same bytes must come back.

Prints what was redone; exits with 1 if anything else was.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml
from kill_training import ROOT, SETTINGS
from server_stack import BUCKET, s3_server

from lesion_dynamics.phantom.generate import generate
from lesion_dynamics.settings.phantom import PhantomSettings

logger = logging.getLogger("touch_participant")
ADDED = "sub-added"
SMALL = {
    "train": [*SETTINGS, "trainer.epochs=2", "trainer.validate_every_epochs=1"],
    "infer": ["executor.processes=1"],
    "analyze": [],
}
"""What is added to each stage's command so that the loop takes a minute."""


def repository(place: Path) -> None:
    """A copy of what git tracks here, with the small phantom as its data."""
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/", ".dvc/")):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, place / name)
    (place / "data.dvc").unlink()
    generate(PhantomSettings.of_variant("small", seed=11), place / "data", processes=2)
    stages = yaml.safe_load((place / "dvc.yaml").read_text())
    for name, more in SMALL.items():
        stages["stages"][name]["cmd"] += "".join(f" '{one}'" for one in more)
    (place / "dvc.yaml").write_text(yaml.safe_dump(stages, sort_keys=False))
    subprocess.run(["git", "init", "--quiet", "."], cwd=place, check=True)
    dvc(place, "init", "--quiet", "--force")
    dvc(place, "add", "--quiet", "data")


def dvc(place: Path, *arguments: str) -> str:
    """DVC's words."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=place, capture_output=True, text=True, check=False,
        env=os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(place / "src"), "PYTHONWARNINGS": "ignore", "DVC_NO_ANALYTICS": "1",
        },
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"dvc {' '.join(arguments)}: {done.stdout[-1500:]}{done.stderr[-3000:]}")
    return done.stdout


def repro(place: Path) -> tuple[list[str], list[str]]:
    """Run `dvc repro`; the stages that ran, and the participants whose masks were written."""
    masks = {
        path: path.stat().st_mtime_ns
        for path in (place / "derivatives").rglob("*_label-L_mask.nii.gz")
    }
    begin = time.monotonic()
    said = dvc(place, "repro")
    ran = [line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")]
    written = {
        path.name.split("_")[0]
        for path in (place / "derivatives").rglob("*_label-L_mask.nii.gz")
        if masks.get(path) != path.stat().st_mtime_ns
    }
    logger.info(
        "  stages that ran: %s; scans segmented: %s; %.0f s",
        *(", ".join(ran) or "none", ", ".join(sorted(written)) or "none"),
        time.monotonic() - begin,
    )
    return ran, sorted(written)


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


def round_trip(place: Path, name: str) -> bool:
    """Push to a remote, remove everything here, pull; whether the same bytes are back."""
    before = bytes_below(place)
    dvc(place, "push", "--quiet", "--remote", name)
    for folder in ("data", "derivatives", "models", "results", ".dvc/cache"):
        shutil.rmtree(place / folder)
    dvc(place, "pull", "--quiet", "--remote", name)
    same = bytes_below(place) == before
    logger.info("remote %s: %d files, %s", name, len(before), "the same" if same else "DIFFERENT")
    return same


def main() -> int:
    """Make, touch, add, push and pull."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server ends with it
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
                   "AWS_DEFAULT_REGION": "us-east-1"}  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) / "repository"
        place.mkdir()
        repository(place)
        logger.info("the first time:")
        good = repro(place)[0] == ["train", "infer", "analyze"]
        logger.info("again, nothing changed:")
        good &= repro(place) == ([], [])
        who = touch(place)
        logger.info("%s changed:", who)
        good &= repro(place) == (["infer", "analyze"], [who])
        add(place)
        logger.info("%s added:", ADDED)
        good &= repro(place) == (["infer", "analyze"], [ADDED])
        dvc(place, "remote", "add", "folder", str(Path(temporary) / "remote"))
        good &= round_trip(place, "folder")
        with s3_server(Path(temporary) / "s3") as address:
            dvc(place, "remote", "add", "s3", f"s3://{BUCKET}/dvc")
            dvc(place, "remote", "modify", "s3", "endpointurl", address)
            good &= round_trip(place, "s3")
        written = json.dumps(yaml.safe_load((place / "data.dvc").read_text()))
    logger.info(
        "data.dvc: %s\n%s", written, "all as it should be" if good else "NOT as it should be"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
