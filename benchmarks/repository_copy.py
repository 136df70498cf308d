"""A repository of its own with the code of now and the small phantom as its data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from kill_training import ROOT, SETTINGS

from lesion_dynamics.phantom.generate import generate
from lesion_dynamics.settings.phantom import PhantomSettings

SMALL: Mapping[str, Sequence[str]] = {
    "train": [*SETTINGS, "trainer.epochs=2", "trainer.validate_every_epochs=1"],
    "infer": ["executor.processes=1"],
    "analyze": [],
}
"""What is added to each stage's command so that the loop takes a minute."""


def repository(place: Path, *, more: Mapping[str, Sequence[str]] = SMALL) -> None:
    """A copy of what git tracks here in ``place``, committed, the small phantom pinned by DVC."""
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
    for name, words in more.items():
        stages["stages"][name]["cmd"] += "".join(f" '{one}'" for one in words)
    (place / "dvc.yaml").write_text(yaml.safe_dump(stages, sort_keys=False))
    git(place, "init", "--quiet", ".")
    dvc(place, "init", "--quiet", "--force")
    dvc(place, "add", "--quiet", "data")
    commit(place, "The code and the small phantom")


def commit(place: Path, message: str) -> None:
    """Commit all that is not ignored."""
    git(place, "add", "--all")
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    git(place, *who, "commit", "--quiet", "--message", message)


def git(place: Path, *arguments: str) -> None:
    """Git, or an end with its words."""
    subprocess.run(["git", *arguments], cwd=place, check=True)


def python(place: Path, *arguments: str) -> str:
    """A script or module of the copy, by the copy's package; what it said."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=place, capture_output=True, text=True, check=False,
        env=os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(place / "src"), "PYTHONWARNINGS": "ignore", "DVC_NO_ANALYTICS": "1",
        },
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)}: {done.stdout[-1500:]}{done.stderr[-3000:]}")
    return done.stdout + done.stderr


def dvc(place: Path, *arguments: str) -> str:
    """DVC's words."""
    return python(place, "-m", "dvc", *arguments)
