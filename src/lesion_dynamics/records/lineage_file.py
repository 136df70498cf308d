"""``lineage.json``: what a folder of outputs was made from, by what, and where.

Its ``record`` is the same whenever the same is made from the same. ``made_on`` (commit, data state,
machine) is of the time when the record last changed: a command that finds everything done leaves
the file as it is, so that a pipeline sees no change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lesion_dynamics import __version__
from lesion_dynamics.atomic_files import hash_of_content, hash_of_file, write_json
from lesion_dynamics.errors import UserError
from lesion_dynamics.model_version import (
    MANIFEST_FILE,
    NUMBER_FILE,
    ORIGIN_FILE,
    ModelVersion,
)
from lesion_dynamics.records.lineage import code_folder, git_state, machine
from lesion_dynamics.records.pinned_data import pin_beside
from lesion_dynamics.source_hash import hash_of_source

LINEAGE_FILE: Final = "lineage.json"
_FORMAT: Final = 1
_LONG = ("participants", "configuration", "stages")
"""Parts of a manifest's training record that stay in the manifest."""


class LineageError(UserError):
    """A path whose origin cannot be told."""


def write_lineage(
    folder: Path,
    *,
    command: str,
    source: tuple[str, ...],
    inputs: Mapping[str, Any],
    settings: Mapping[str, Any],
    model_versions: Mapping[str, Any],
    outputs: Mapping[str, Path],
    cohort_root: Path | None = None,
    made_with: Mapping[str, Any] | None = None,
    file: str = LINEAGE_FILE,
) -> None:
    """Write ``lineage.json`` into ``folder``, unless the one there says the same.

    Parameters
    ----------
    command : that made the folder. source : parts of the package that the outputs depend on.
    inputs, settings : what it was made from; no absolute path, nothing of this machine.
    model_versions : by label, each as `of_model_version`. outputs : files by their name.
    cohort_root : of the cohort whose DVC pin is recorded; None: no cohort was read.
    made_with : more about the machine.
    file : its name, where the folder has a lineage of its own: ``lineage_track.json``.
    """
    record = {
        "command": command,
        "software": f"lesion-dynamics {__version__}",
        "source_sha256": hash_of_source(*source),
        "inputs": dict(inputs),
        "settings": dict(settings),
        "model_versions": dict(model_versions),
        "outputs_sha256": {name: hash_of_file(path) for name, path in sorted(outputs.items())},
    }
    path = folder / file
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        if before["format"] == _FORMAT and before["record"] == json.loads(json.dumps(record)):
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none, or of another time; written anew
    made_on = {
        "git": git_state(code_folder()),
        "data": {} if cohort_root is None else pin_beside(cohort_root),
        "machine": {**machine(), **(made_with or {})},
    }
    write_json(path, {"format": _FORMAT, "record": record, "made_on": made_on})


def is_lineage(path: Path) -> bool:
    """Whether a file's name is that of a lineage."""
    return path.suffix == ".json" and path.stem.split("_")[0] == "lineage"


def lineage_that_names(path: Path) -> Path | None:
    """The lineage beside ``path`` that records it, if another one than the folder's own does."""
    for file in sorted(path.parent.glob("lineage_*.json")):
        said = read_lineage(path.parent, file.name)
        if said is not None and path.name in said["record"]["outputs_sha256"]:
            return file
    return None


def read_lineage(folder: Path, file: str = LINEAGE_FILE) -> dict[str, Any] | None:
    """The lineage of ``folder``; None where it has none.

    Raises
    ------
    LineageError : the file is there and cannot be read.
    """
    path = folder / file
    if not path.is_file():
        return None
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if said["format"] != _FORMAT or not isinstance(said["record"]["model_versions"], dict):
            raise ValueError("of another format")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LineageError(
            f"this lineage cannot be read ({error})",
            where=path,
            remedy="Run the command that made the folder again.",
        ) from None
    return said


def of_model_version(version: ModelVersion) -> dict[str, Any]:
    """What stands behind a model version: its bytes, its run, its training's lineage."""
    folder, training = version.weights.parent, version.manifest.training
    number = _json_in(folder / NUMBER_FILE) or {}
    return {
        "weights_sha256": version.manifest.weights_sha256,
        "manifest_sha256": hash_of_file(folder / MANIFEST_FILE),
        "operating_point": version.manifest.operating_point.model_dump(mode="json"),
        "run_id": number.get("run_id"),
        "origin": _json_in(folder / ORIGIN_FILE),
        "training": {
            **{key: value for key, value in training.items() if key not in _LONG},
            "configuration_sha256": hash_of_content(training["configuration"])
            if training.get("configuration")
            else None,
        },
    }


def _json_in(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    said = json.loads(path.read_text(encoding="utf-8"))
    return said if isinstance(said, dict) else None
