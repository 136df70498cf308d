"""A new clone of the repository, brought to a recorded commit and to the recorded data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from lesion_dynamics.records.pinned_data import pinned_state
from lesion_dynamics.workflows.reproduction.recorded import ReproductionError, Step


def clone(repository: str, target: Path) -> None:
    """Clone, if that is not done yet.

    Raises
    ------
    ReproductionError : git cannot.
    """
    if (target / ".git").is_dir():
        return
    done = _call("git", "clone", "--quiet", "--no-checkout", _address(repository), str(target))
    if done.returncode != 0:
        raise ReproductionError(
            f"git cannot clone it ({_last_line(done)})",
            where=f"repository={repository}",
            remedy="Name the repository that the release was made in.",
        )


def bring_to(place: Path, step: Step, *, cache: Path | None) -> None:
    """Check out the step's commit, and the data that it pins, from DVC's cache or its remote.

    cache : of the repository that was cloned; None: it has none here.

    Raises
    ------
    ReproductionError : the commit or the data cannot be had, or are not those of the record.
    """
    done = _call("git", "-C", str(place), "checkout", "--quiet", "--detach", step.commit)
    if done.returncode != 0:
        raise ReproductionError(
            f"{step.name}: the repository does not hold commit {step.commit[:12]}",
            where=place,
            remedy="Push or fetch the commit, then start again.",
        )
    pinned = _pinned(place / step.dvc_file)
    if pinned.get("md5") != step.dvc_md5:
        raise ReproductionError(
            f"{step.name}: {step.dvc_file} of commit {step.commit[:12]} pins other data"
            f" ({pinned.get('md5')}) than were used ({step.dvc_md5})",
            where=place / step.dvc_file,
            remedy="Commit data and code together: dvc commit, git add, git commit; train again.",
        )
    if cache is not None:
        _call(sys.executable, "-m", "dvc", "config", "--local", "cache.dir", str(cache), at=place)
    said = ""
    for words in (("checkout", "--force"), ("pull", "--force")):
        try:
            if pinned_state(place, step.dvc_file) == "same":
                return
        except subprocess.CalledProcessError as error:
            said = (error.stderr or "").strip()
        said = _last_line(_call(sys.executable, "-m", "dvc", *words, step.dvc_file, at=place))
    if pinned_state(place, step.dvc_file) != "same":
        raise ReproductionError(
            f"{step.name}: neither DVC's cache nor a remote gives the data {step.dvc_md5} ({said})",
            where=place / step.dvc_file,
            remedy="Bring the data into the repository's cache (dvc fetch), or set a remote.",
        )


def cache_of(repository: str) -> Path | None:
    """DVC's cache of the repository, if it lies here and has one."""
    if not Path(repository).is_dir():
        return None
    done = _call(sys.executable, "-m", "dvc", "cache", "dir", at=Path(repository))
    found = Path(repository) / (done.stdout.strip() or ".dvc/cache")
    return found.resolve() if done.returncode == 0 and found.is_dir() else None


def run_script(place: Path, step: Step, arguments: list[str]) -> None:
    """Run the clone's own train.py, infer.py or analyze.py, with its own package.

    Raises
    ------
    ReproductionError : it ended in an error; its last line is said.
    """
    threads = str(step.machine.get("threads") or "")
    environment = {
        **os.environ,
        "PYTHONPATH": str(place / "src"),
        **({"OMP_NUM_THREADS": threads} if threads else {}),
    }
    log = place.parent / f"{step.name}.log"
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(
            [sys.executable, f"{step.name}.py", *arguments],
            cwd=place, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise ReproductionError(
            f"{step.name}.py of the clone ended with status {done.returncode}"
            f" ({lines[-1] if lines else 'no word'})",
            where=log,
            remedy="Mend what it says and start the same command again: it goes on from there.",
        )


def _pinned(file: Path) -> dict[str, Any]:
    try:
        said: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))["outs"][0]
    except (OSError, KeyError, TypeError, IndexError, yaml.YAMLError):
        return {}
    return said


def _address(repository: str) -> str:
    return str(Path(repository).resolve()) if Path(repository).is_dir() else repository


def _call(*words: str, at: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "GIT_TERMINAL_PROMPT": "0"}
    return subprocess.run(
        list(words), cwd=at, env=environment, capture_output=True, text=True, check=False
    )


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr or done.stdout or "").strip().splitlines()
    return lines[-1] if lines else f"status {done.returncode}"
