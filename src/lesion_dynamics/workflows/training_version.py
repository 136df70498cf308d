"""Where a training keeps its finished model version, and how that reaches the output folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from lesion_dynamics.atomic_files import write_bytes, write_json
from lesion_dynamics.model_version import (
    NUMBER_FILE,
    REGISTERED_FILES,
    ModelVersion,
    load_model_version,
)

VERSION_FOLDER: Final = "model_version"
"""In the run folder. Trainings of a sweep share one output folder: each keeps its own here."""

UNREGISTERED: Final = 0
"""Number of a finished model version that the registry has not been able to take yet."""


def await_number(folder: Path, *, name: str, run: str) -> None:
    """Say in ``folder`` that the registry has yet to number this model version.

    run : what names the training's run until then (`records.spooled_run.SpooledRun.reference`).
    """
    said = {"name": name, "number": UNREGISTERED, "run_id": None, "run": run}
    write_json(folder / NUMBER_FILE, said)


def publish(folder: Path, output: Path) -> ModelVersion:
    """Copy the finished model version in ``folder`` to ``output``; return it as it lies there.

    The number goes first and comes back last: a folder without one is never taken for whole.
    """
    (output / NUMBER_FILE).unlink(missing_ok=True)
    for name in (*REGISTERED_FILES, NUMBER_FILE):
        if (folder / name).is_file():
            write_bytes(output / name, (folder / name).read_bytes())
        else:
            (output / name).unlink(missing_ok=True)
    return load_model_version(output)


def registered_run(folder: Path) -> str | None:
    """The MLflow run that made the model version in ``folder``; None before it is registered."""
    run_id = json.loads((folder / NUMBER_FILE).read_text(encoding="utf-8"))["run_id"]
    return None if run_id is None else str(run_id)


def run_reference(folder: Path) -> str | None:
    """What names that run, registered or not; None where a version of before does not say it."""
    said = json.loads((folder / NUMBER_FILE).read_text(encoding="utf-8"))
    found = said["run_id"] or said.get("run")
    return None if found is None else str(found)
