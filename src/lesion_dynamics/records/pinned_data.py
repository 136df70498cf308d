"""Whether the bytes of the data folder are those that ``data.dvc`` pins.

Run as ``python -m lesion_dynamics.records.pinned_data`` after the phantom was generated.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from lesion_dynamics.errors import EXIT_USER_ERROR
from lesion_dynamics.records.lineage import DATA_FILE

_LOG = logging.getLogger(__name__)
PinnedState = Literal["same", "not cached", "modified", "deleted", "not pinned"]


@dataclass(frozen=True, slots=True)
class CohortPin:
    """The DVC file that pins a cohort, and whether the cohort is still what it pins.

    md5 : of the pinned bytes. path : of the pinned folder beside the file; never absolute.
    file : the DVC file.
    """

    state: PinnedState
    md5: str | None = None
    path: str | None = None
    file: Path | None = None


def pin_of_cohort(cohort_root: Path) -> CohortPin:
    """The nearest ``<folder>.dvc`` beside the cohort's folder or one above it, compared with it.

    Where DVC itself fails (not installed, no repository) the cohort counts as not pinned, and
    the log says why.
    """
    file = _pin_file(cohort_root)
    if file is None:
        return CohortPin("not pinned")
    pinned = _pinned(file)
    try:
        state = pinned_state(file.parent, file.name)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "dvc failed").strip().splitlines()[-1]
        _LOG.warning("data: dvc could not compare them with %s: %s", file.name, said)
        return CohortPin("not pinned")
    return CohortPin(state, pinned.get("md5"), pinned.get("path"), file)


def pin_beside(cohort_root: Path) -> dict[str, str | None]:
    """The hash that pins the cohort, and the pinned folder's name; the data are not read."""
    file = _pin_file(cohort_root)
    pinned = {} if file is None else _pinned(file)
    return {"dvc_md5": pinned.get("md5"), "path": pinned.get("path")}


def _pin_file(cohort_root: Path) -> Path | None:
    root = cohort_root.resolve()
    beside = (folder.with_name(f"{folder.name}.dvc") for folder in (root, *root.parents)[:-1])
    return next((file for file in beside if file.is_file()), None)


def _pinned(file: Path) -> dict[str, str]:
    said: dict[str, str] = yaml.safe_load(file.read_text(encoding="utf-8"))["outs"][0]
    return said


def record_new_state(folder: Path) -> str:
    """Let the DVC file that pins ``folder`` pin what lies there now; what was done, as words.

    The commit to git is left to the user: what else belongs into it is theirs to know.
    """
    pin = pin_of_cohort(folder)
    if pin.file is None:
        return "no DVC file pins this folder (dvc add records its state)"
    _dvc(pin.file.parent, "commit", "--force", "--quiet", pin.file.name)
    now = yaml.safe_load(pin.file.read_text(encoding="utf-8"))["outs"][0]["md5"]
    return f"{pin.file.name} now pins them ({now}); commit it to git"


def pinned_state(root: Path, file: str = DATA_FILE) -> PinnedState:
    """Compare the data folder below ``root`` with its pin; reads the data, changes nothing."""
    if not (root / file).is_file():
        return "not pinned"
    status = json.loads(_dvc(root, "status", "--json", file))
    changes = [
        state
        for entries in status.values()
        for entry in entries
        if isinstance(entry, dict)
        for state in entry.get("changed outs", {}).values()
    ]
    if not changes:
        return "same"
    if changes[0] == "not in cache":
        return "not cached"
    return "deleted" if changes[0] == "deleted" else "modified"


def main() -> int:
    """Put unchanged data into DVC's cache; say so when the data differ from their pin."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    root = Path.cwd()
    try:
        state = pinned_state(root)
        if state == "not cached":
            _dvc(root, "commit", "--force", "--quiet", DATA_FILE)
            state = pinned_state(root)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "dvc failed").strip().splitlines()[-1]
        _LOG.error("data: dvc could not compare them with %s: %s", DATA_FILE, said)
        return EXIT_USER_ERROR
    if state == "same":
        _LOG.info("data: the bytes that %s pins", DATA_FILE)
    elif state == "modified":
        _LOG.warning(
            "data: not the bytes that %s pins. A phantom generated on another kind of processor "
            "or with other library versions can differ in the last bit of its arithmetic. "
            "The study goes on with them; `.venv/bin/dvc commit %s` makes them the pinned ones "
            "(as a plain `dvc repro` would).",
            DATA_FILE,
            DATA_FILE,
        )
    else:
        _LOG.warning("data: %s (see %s)", state, DATA_FILE)
    return 0


def _dvc(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
