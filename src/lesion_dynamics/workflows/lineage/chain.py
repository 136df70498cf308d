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

    Steps: ``file``, ``scan`` (the sidecar of a mask), ``analysis``, ``inference``, ``outside``,
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
    folder = _lineage_folder(path)
    sidecar = _sidecar_of(path)
    outside = None if folder is None else read_outside_version(folder)
    said = None if folder is None else read_lineage(folder)
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
        steps.append(_scan_step(sidecar))
    if outside is not None:
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
        return said if "ModelVersion" in said and "InputHashes" in said else None
    except (OSError, ValueError, TypeError):
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


def _of_folder(said: Mapping[str, Any], folder: Path) -> list[Step]:
    record, made_on = said["record"], said["made_on"]
    kind = "analysis" if record["command"] == "analyze.py" else "inference"
    step: Step = {
        "step": kind,
        "command": record["command"],
        "folder": folder.name,
        "software": record["software"],
        "source_sha256": record["source_sha256"],
        "settings": record["settings"],
        **made_on,
    }
    if kind == "inference":
        return [{**step, **record["inputs"]}, *_of_versions(record["model_versions"])]
    steps = [{**step, "inputs_sha256": record["inputs"]["sha256"]}]
    for name, own in record["inputs"]["derivatives"].items():
        steps.append(
            {
                "step": "inference",
                "command": "infer.py",
                "folder": name,
                "source_sha256": own["source_sha256"],
                **own["inputs"],
                **own["made_on"],
            }
        )
    return [*steps, *_of_versions(record["model_versions"])]


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
