"""What one process of an inference does: it loads the segmenter once, then takes participants."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lesion_dynamics.errors import UserError
from lesion_dynamics.imaging.writing import as_stored
from lesion_dynamics.lesions.alternatives import measure_alternatives
from lesion_dynamics.lesions.measurement import measure
from lesion_dynamics.longitudinal.measurements import MEASURED
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.preprocessing.sessions import align_sessions
from lesion_dynamics.records.derivatives import write_scan
from lesion_dynamics.segmenter.segmenter import Segmenter, mask_at
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.workflows.inference_tasks import ParticipantTask, ScanTask

_LOG = logging.getLogger(__name__)
Outcome = dict[str, Any] | str
"""The measured columns of a scan's row, or why it failed."""


@dataclass(frozen=True, slots=True)
class _Worker:
    segmenter: Segmenter
    version: ModelVersion
    cohort: CohortSettings


_worker: _Worker | UserError | None = None


def load_segmenter(version: ModelVersion, cohort: CohortSettings, threads: int) -> None:
    """Initialise this process: torch threads and the network."""
    global _worker
    torch.set_num_threads(threads)
    try:
        _worker = _Worker(Segmenter.from_model_version(version), version, cohort)
    except UserError as error:
        _worker = error  # raised by the first participant: here it would break the pool


def segment_participant(task: ParticipantTask) -> dict[tuple[str, str], Outcome]:
    """Prepare the participant's scans, align them, segment and write those that are due."""
    assert _worker is not None, "load_segmenter initialises every process"
    if isinstance(_worker, UserError):
        raise _worker
    outcomes: dict[tuple[str, str], Outcome] = {}
    prepared: dict[tuple[str, str], PreparedScan] = {}
    wanted = task.scans if _worker.cohort.session_alignment != "none" else _due(task)
    for scan_task in wanted:
        try:
            prepared[scan_task.scan.key] = prepare_scan(
                scan_task.scan,
                _worker.cohort.prepared,
                settings=_worker.segmenter.settings.preprocessing,
            )
        except Exception as error:  # noqa: BLE001  one scan never stops the others
            outcomes[scan_task.scan.key] = _reason(error)
    if _worker.cohort.session_alignment != "none" and len(prepared) > 1:
        aligned = align_sessions(
            list(prepared.values()),
            settings=_worker.segmenter.settings.preprocessing.registration,
        )
        prepared = dict(zip(prepared, aligned, strict=True))
    for scan_task in _due(task):
        ready = prepared.get(scan_task.scan.key)
        if ready is None:
            continue
        try:
            outcomes[scan_task.scan.key] = _segment_scan(_worker, scan_task, ready)
        except Exception as error:  # noqa: BLE001  one scan never stops the others
            outcomes[scan_task.scan.key] = _reason(error)
    return outcomes


def _reason(error: Exception) -> str:
    """Why a scan failed, for the table; a defect of the program also leaves its traceback."""
    if isinstance(error, UserError):
        return f"{error.what} ({Path(error.where).name})"
    _LOG.error("unexpected failure", exc_info=error)
    return f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _due(task: ParticipantTask) -> tuple[ScanTask, ...]:
    return tuple(scan_task for scan_task in task.scans if scan_task.scan.key in task.due)


def _segment_scan(worker: _Worker, task: ScanTask, prepared: PreparedScan) -> dict[str, Any]:
    point = worker.version.manifest.operating_point
    probability = as_stored(worker.segmenter.probability(prepared))
    mask = mask_at(probability, point)
    measured = measure(mask, connectivity=point.connectivity)
    brain = prepared.brain_mask
    row: dict[str, Any] = {
        "lesion_volume_mm3": round(measured.lesion_volume_mm3, 3),
        "lesion_count": measured.lesion_count,
        "largest_lesion_volume_mm3": round(measured.largest_lesion_volume_mm3, 3),
        "brain_volume_mm3": round(float((brain.voxels > 0).sum()) * brain.voxel_volume_mm3, 3),
        "voxel_volume_mm3": round(brain.voxel_volume_mm3, 6),
        "status": MEASURED,
        "reason": "",
        "alternatives": measure_alternatives(probability, point),
    }
    write_scan(
        task.outputs,
        mask=mask,
        probability=probability,
        key=task.key,
        version=worker.version,
        input_hashes=task.input_hashes,
        measurements=row,
        preprocessing=_applied(worker, prepared),
    )
    return row


def _applied(worker: _Worker, prepared: PreparedScan) -> Mapping[str, Any]:
    """What was done to the scan, with its transforms, so that a mask can go home."""
    return {
        "Settings": worker.segmenter.settings.preprocessing.model_dump(mode="json"),
        "Sequences": sorted(prepared.sequences),
        "ParticipantSpaceFromFLAIR": prepared.to_participant.tolist(),
        "FLAIRFromSequence": {
            name: sequence.to_flair.tolist() for name, sequence in prepared.sequences.items()
        },
    }
