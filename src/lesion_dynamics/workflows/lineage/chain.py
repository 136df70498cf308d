"""The chain behind a table, a mask or a report, as far as the files here tell it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lesion_dynamics.atomic_files import hash_of_file
from lesion_dynamics.model_version import (
    MANIFEST_FILE,
    NUMBER_FILE,
    load_model_version,
)
from lesion_dynamics.records.lineage_file import (
    LINEAGE_FILE,
    LineageError,
    lineage_that_names,
    of_model_version,
    read_lineage,
)
from lesion_dynamics.records.outside_version import read_outside_version

Step = dict[str, Any]
AS_RECORDED, CHANGED, NOT_RECORDED = "as recorded", "changed since", "not recorded"
_UPWARD = 6
"""Folders above a file in which its lineage is looked for."""


def chain(path: Path) -> list[Step]:
    """From the file to its training, a step each with ``step`` as its kind.

    Steps: ``file``, ``scan`` (the sidecar of a mask), ``correction`` (of a reference mask),
    ``analysis`` (whatever was made from folders with a lineage), ``inference``, ``outside``,
    ``model version``, ``training``.

    Raises
    ------
    LineageError : there is no such file, or nothing says where it comes from.
    """
    if not path.exists():
        raise LineageError("there is no such file", where=path, remedy="Give a file's path.")
    if (path / MANIFEST_FILE).is_file() or _is_part_of_version(path):
        version = load_model_version(path if path.is_dir() else path.parent)
        return _of_versions({version.label: of_model_version(version)})
    named = lineage_that_names(path.resolve()) if path.is_file() else None
    folder = _lineage_folder(path) if named is None else named.parent
    sidecar = _sidecar_of(path)
    outside = None if folder is None or named is not None else read_outside_version(folder)
    file = LINEAGE_FILE if named is None else named.name
    said = None if folder is None else read_lineage(folder, file)
    if said is None and outside is None and sidecar is None:
        raise LineageError(
            f"no {LINEAGE_FILE} here or above it, and no sidecar",
            where=path,
            remedy="Run the command that made it again: infer.py and analyze.py write one.",
        )
    steps: list[Step] = []
    if path.is_file():
        steps.append(_file_step(path, folder, said, sidecar))
    if sidecar is not None:
        steps.append(_scan_step(sidecar) if "InputHashes" in sidecar else _correction(sidecar))
    if outside is not None and said is None:
        tool = {"tool": outside.tool, "tool_version": outside.tool_version}
        steps.append({"step": "outside", "label": outside.label, **tool})
    if said is not None and folder is not None:
        steps += _of_folder(said, folder)
    return steps


def _is_part_of_version(path: Path) -> bool:
    return path.is_file() and (path.parent / NUMBER_FILE).is_file()


def _lineage_folder(path: Path) -> Path | None:
    start = path.resolve()
    above = [start, *start.parents] if start.is_dir() else list(start.parents)
    names = (LINEAGE_FILE, "outside_version.json")
    return next((f for f in above[:_UPWARD] if any((f / name).is_file() for name in names)), None)


def _sidecar_of(path: Path) -> Mapping[str, Any] | None:
    if not path.name.endswith((".nii.gz", ".json")):
        return None
    sidecar = path.with_name(path.name.removesuffix(".nii.gz").removesuffix(".json") + ".json")
    if not sidecar.is_file():
        return None
    try:
        said = json.loads(sidecar.read_text(encoding="utf-8"))
        ours = {"ModelVersion", "InputHashes"} <= said.keys() or "CorrectedBy" in said
        return said if ours else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _file_step(
    path: Path, folder: Path | None, said: Mapping[str, Any] | None, sidecar: Any
) -> Step:
    sha = hash_of_file(path)
    wanted = None
    if said is not None and folder is not None:
        name = path.resolve().relative_to(folder).as_posix()
        wanted = said["record"]["outputs_sha256"].get(name)
    if sidecar is not None:
        wanted = sidecar.get("OutputHashes", {}).get(path.name, wanted)
    state = NOT_RECORDED if wanted is None else AS_RECORDED if wanted == sha else CHANGED
    return {"step": "file", "name": path.name, "sha256": sha, "state": state}


def _scan_step(sidecar: Mapping[str, Any]) -> Step:
    inputs = sidecar["InputHashes"]
    return {
        "step": "scan",
        "model_version": sidecar["ModelVersion"],
        "weights_sha256": sidecar.get("WeightsSHA256"),
        "inputs_sha256": inputs.get("files", inputs),
        "operating_point": sidecar.get("OperatingPoint"),
        "software": sidecar.get("Software"),
    }


def _correction(sidecar: Mapping[str, Any]) -> Step:
    """A reference mask that a person made from a model's."""
    return {
        "step": "correction",
        "corrected_by": sidecar["CorrectedBy"],
        "corrected_on": sidecar.get("CorrectedOn"),
        "model_version": sidecar.get("FromModelVersion"),
        "weights_sha256": sidecar.get("FromWeightsSHA256"),
        "sources": sidecar.get("Sources", []),
        "software": sidecar.get("Software"),
    }


def _of_folder(said: Mapping[str, Any], folder: Path) -> list[Step]:
    record, made_on = said["record"], said["made_on"]
    own = {**record, "made_on": made_on}
    steps = _made_from(folder.name, own, whole=True)
    return [*steps, *_of_versions(record["model_versions"])]


def _made_from(name: str, own: Mapping[str, Any], *, whole: bool = False) -> list[Step]:
    """The step that made a folder, then those that made what it was made from.

    whole : of the folder that was asked for: with its settings.
    """
    step: Step = {
        "command": own.get("command", "infer.py"),
        "folder": name,
        "source_sha256": own["source_sha256"],
        **({"software": own["software"], "settings": own["settings"]} if whole else {}),
        **own["made_on"],
    }
    inputs = own["inputs"]
    if "derivatives" not in inputs:
        return [{"step": "inference", **step, **inputs}]
    steps = [{"step": "analysis", **step, "inputs_sha256": inputs["sha256"]}]
    for below, more in inputs["derivatives"].items():
        steps += _made_from(below, more)
    return steps


def _of_versions(versions: Mapping[str, Any]) -> list[Step]:
    steps: list[Step] = []
    for label, said in versions.items():
        if "tool" in said:
            steps.append({"step": "outside", "label": label, **said})
            continue
        kept = {key: value for key, value in said.items() if key != "training"}
        steps.append({"step": "model version", "label": label, **kept})
        steps.append({"step": "training", **said["training"]})
    return steps
