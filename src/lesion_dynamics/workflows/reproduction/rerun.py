"""The three commands of a release, run again in the clone as they were told then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lesion_dynamics.atomic_files import hash_of_file, write_json, write_text
from lesion_dynamics.model_version import NUMBER_FILE, REGISTERED_FILES, ModelVersion
from lesion_dynamics.records.outside_version import OUTSIDE_FILE
from lesion_dynamics.workflows.reproduction.clone import run_script
from lesion_dynamics.workflows.reproduction.recorded import (
    Recorded,
    ReproductionError,
    Step,
    is_table,
    measured_folder,
)

_TRACKING = {"uri": None, "folder": "tracking", "experiment": "reproduction"}
_CACHE = {"folder": "runs/preprocessing_cache", "largest_gb": 20.0}
_HYDRA = {
    "defaults": [
        "_self_",
        {"override hydra/job_logging": "none"},
        {"override hydra/hydra_logging": "none"},
    ],
    "hydra": {"job": {"chdir": False}, "run": {"dir": "."}, "output_subdir": None},
}
THREADS = "threads_per_process"
TRAINED, VERSION = "models/trained", "models/version"


def train(place: Path, step: Step, starts: Mapping[str, ModelVersion]) -> Path:
    """Train anew; the folder of the model version.

    starts : versions that the training began from or split by, by their key; weights and
        manifests are carried into the clone.
    """
    told: dict[str, Any] = {**step.configuration}
    for key, version in starts.items():
        folder = Path("models") / key
        (place / folder).mkdir(parents=True, exist_ok=True)
        for name in (*REGISTERED_FILES, NUMBER_FILE):
            if (version.weights.parent / name).is_file():
                shutil.copyfile(version.weights.parent / name, place / folder / name)
        told[key] = folder.as_posix()
    places = {
        "runs": "runs", "output": TRAINED, "processes": 0, "parent_run": None,
        "tracking": _TRACKING, "cache": _CACHE,
    }  # fmt: skip
    run_script(place, step, _as_arguments(place, step, {**told, **places}))
    return place / TRAINED


def infer(place: Path, recorded: Recorded, step: Step) -> Path:
    """Segment the cohort anew with the retrained version under its old number; its folder."""
    assert recorded.derivatives is not None
    folder = place / VERSION
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(place / TRAINED, folder)
    number = json.loads((folder / NUMBER_FILE).read_text(encoding="utf-8"))
    write_json(folder / NUMBER_FILE, {**number, "number": recorded.version.number})
    told = {
        **step.configuration,
        "model_version": VERSION,
        "output": recorded.derivatives.parent.as_posix(),
        "executor": {"processes": 0, "threads_per_process": step.machine.get(THREADS, 1)},
        "tracking": _TRACKING,
        "cache": _CACHE,
    }
    run_script(place, step, _as_arguments(place, step, told))
    measured = measured_folder(recorded)
    assert measured is not None
    return place / measured


def analyze(place: Path, recorded: Recorded, step: Step) -> list[str]:
    """Analyse anew, beside the tables of the other versions; what was taken as it was."""
    measured = measured_folder(recorded)
    assert measured is not None
    taken = []
    for name, sha256 in (recorded.inputs or {}).items():
        path = name.rpartition(": ")[2]
        if not is_table(path) or (place / path).is_file():
            continue
        if not Path(path).is_file() or hash_of_file(Path(path)) != sha256:
            raise ReproductionError(
                f"{path} entered the study and is gone, or not what it was",
                where=recorded.results or ".",
                remedy="Run analyze.py again, or set results=null to leave the study out.",
            )
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        for beside in (Path(path), Path(path).with_name(OUTSIDE_FILE)):
            if beside.is_file():
                shutil.copyfile(beside, place / beside)
        taken.append(path)
    run_script(place, step, _as_arguments(place, step, step.configuration))
    return taken


def _as_arguments(place: Path, step: Step, told: Mapping[str, Any]) -> list[str]:
    """Hydra's options for the configuration as a file of its own, outside the clone's tree."""
    folder = place.parent / "configuration"
    folder.mkdir(exist_ok=True)
    text = yaml.safe_dump({**_HYDRA, **told}, sort_keys=False)
    write_text(folder / f"{step.name}_again.yaml", text)
    return ["--config-dir", str(folder), "--config-name", f"{step.name}_again"]
