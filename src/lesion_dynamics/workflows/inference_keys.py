"""What the outputs of a scan depend on, and which sessions of the participant they rest on.

Aligned sessions share a space that lies in the middle of all of them. A session that cannot be
used, once or for good, is not in it; so the key of a scan names the sessions that were used, not
those that there are. When the missing one can be used again, that is seen, and all are redone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lesion_dynamics.atomic_files import hash_of_file
from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.model_version import LONGITUDINAL, ModelVersion
from lesion_dynamics.records.derivatives import ScanOutputs, finished_row, scan_key
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.workflows.inference_tasks import ScanTask, SessionsUsed

_ALIGNED = "sessions_aligned_with"
_INFORMING = "sessions_informed_by"


def inputs_of(
    scan: Scan,
    files: Mapping[str, Mapping[str, str]],
    version: ModelVersion,
    settings: InferSettings,
) -> dict[str, Any]:
    """What the outputs of a scan depend on if every session of the participant can be used.

    files : of each session of the participant, by its name, the hashes of its files.
    """
    inputs: dict[str, Any] = {
        "files": files[scan.session_id],
        "prepared": (scan.prepared or settings.cohort.prepared).model_dump(),
        "session_alignment": settings.cohort.session_alignment,
        "mni": settings.mni,
    }
    if settings.cohort.session_alignment != "none":
        inputs[_ALIGNED] = dict(files)
        inputs["correct_drift"] = settings.cohort.distortion.correct_drift
        if version.mode == LONGITUDINAL:
            inputs[_INFORMING] = sorted(files)
    return inputs


def with_sessions(task: ScanTask, used: SessionsUsed, version: ModelVersion) -> ScanTask:
    """The same scan with the key and the inputs of outputs that rest on these sessions."""
    if used == _every_session(task.input_hashes):
        return task
    inputs = _with_only(task.input_hashes, used)
    return replace(task, key=scan_key(inputs, version), input_hashes=inputs)


def finished(
    inputs: Mapping[str, Any],
    key: str,
    outputs: ScanOutputs,
    version: ModelVersion,
    *,
    hash_of: Callable[[Path], str] = hash_of_file,
) -> tuple[SessionsUsed, dict[str, Any]] | None:
    """The sessions that a scan's outputs rest on and its measurements, if it is done.

    It is done if nothing changed that its outputs depend on, though they may rest on some of the
    participant's sessions only.

    inputs, key : with every session. hash_of : as in `finished_row`.
    """
    row = finished_row(outputs, key, hash_of=hash_of)
    if row is not None:
        return _every_session(inputs), row
    used = _told(outputs.sidecar)
    if used is None or not set(used.aligned) <= set(inputs.get(_ALIGNED, ())):
        return None
    row = finished_row(outputs, scan_key(_with_only(inputs, used), version), hash_of=hash_of)
    return None if row is None else (used, row)


def _every_session(inputs: Mapping[str, Any]) -> SessionsUsed:
    return SessionsUsed(tuple(sorted(inputs.get(_ALIGNED, ()))), tuple(inputs.get(_INFORMING, ())))


def _with_only(inputs: Mapping[str, Any], used: SessionsUsed) -> dict[str, Any]:
    found = dict(inputs)
    if _ALIGNED in inputs:
        found[_ALIGNED] = {name: inputs[_ALIGNED][name] for name in used.aligned}
    if _INFORMING in inputs:
        found[_INFORMING] = list(used.informing)
    return found


def _told(sidecar: Path) -> SessionsUsed | None:
    """The sessions that a sidecar names; whether they are true, the key says."""
    try:
        said = json.loads(sidecar.read_text(encoding="utf-8"))["InputHashes"]
        aligned = tuple(sorted(str(name) for name in said[_ALIGNED]))
        return SessionsUsed(aligned, tuple(str(name) for name in said.get(_INFORMING, ())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
