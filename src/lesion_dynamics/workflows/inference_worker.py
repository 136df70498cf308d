"""What one process of an inference does: it loads the segmenter once, then takes participants."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from lesion_dynamics.errors import DiskFullError, ScanError, UserError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.lesions.alternatives import measure_alternatives
from lesion_dynamics.longitudinal.measurements import MEASURED
from lesion_dynamics.model_version import LONGITUDINAL, ModelVersion
from lesion_dynamics.preprocessing.mni import register_to_mni, to_mni
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.preprocessing.sessions import align_what_registers
from lesion_dynamics.preprocessing.steps import Steps
from lesion_dynamics.records.derivatives import write_scan
from lesion_dynamics.records.mni_outputs import InMni
from lesion_dynamics.segmenter.longitudinal import consistent_probabilities
from lesion_dynamics.segmenter.segmenter import Segmenter
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.engine import EngineName
from lesion_dynamics.workflows.inference_keys import with_sessions
from lesion_dynamics.workflows.inference_tasks import ParticipantTask, ScanTask, SessionsUsed
from lesion_dynamics.workflows.quality_measuring import measure_quality
from lesion_dynamics.workflows.scan_geometry import geometry_row
from lesion_dynamics.workflows.scan_segmentation import segmented

_LOG = logging.getLogger(__name__)
_HALF = 0.5  # share of a voxel of MNI space that is lesion where the mask says so
MniChoice = Literal["none", "affine", "deformable"]
Outcome = dict[str, Any] | str
"""The measured columns of a scan's row, or why it failed."""


@dataclass(frozen=True, slots=True)
class _Worker:
    segmenter: Segmenter
    version: ModelVersion
    cohort: CohortSettings
    mni: MniChoice
    steps: Steps


_worker: _Worker | UserError | None = None


def load_segmenter(
    version: ModelVersion,
    cohort: CohortSettings,
    mni: MniChoice,
    steps: Steps,
    threads: int,
    engine: EngineName,
) -> None:
    """Initialise this process: torch threads and the network."""
    global _worker
    torch.set_num_threads(threads)
    try:
        segmenter = Segmenter.from_model_version(version, engine=engine, cache=steps.cache)
        _worker = _Worker(segmenter, version, cohort, mni, steps)
    except UserError as error:
        _worker = error  # raised by the first participant: here it would break the pool


def segment_participant(task: ParticipantTask) -> dict[tuple[str, str], Outcome]:
    """Prepare the participant's scans, align them, segment and write those that are due.

    The outputs of aligned sessions rest on each other. A session that cannot be used now is not
    counted in, and the key of the others says so; those that were written with it, or without
    one that is counted in now, are written again, so that all lie in one space.

    Returns
    -------
    Outcome of every scan that is due, and of every other one that was written again or that no
    longer lies in the others' space; nothing of those that stay as they are.
    """
    assert _worker is not None, "load_segmenter initialises every process"
    if isinstance(_worker, UserError):
        raise _worker
    aligning = _worker.cohort.session_alignment != "none"
    outcomes: dict[tuple[str, str], Outcome] = {}
    wanted = task.scans if task.quality is not None or aligning else _due(task)
    prepared = _prepared(_worker, wanted, outcomes)
    if aligning:
        prepared = _aligned(_worker, prepared, outcomes)
    spaces = {one.done_with for one in task.scans} - {None}
    if task.due:
        used = _segment_due(_worker, task, prepared, outcomes)
        spaces |= {used} if used is not None else set()
    if task.quality is not None:
        _measure_quality(_worker, task, prepared)
    if aligning and task.due and len(spaces) > 1:
        return outcomes
    return {key: outcome for key, outcome in outcomes.items() if key in task.due}


def _prepared(
    worker: _Worker, wanted: Sequence[ScanTask], outcomes: dict[tuple[str, str], Outcome]
) -> dict[tuple[str, str], PreparedScan]:
    found: dict[tuple[str, str], PreparedScan] = {}
    for scan_task in wanted:
        try:
            found[scan_task.scan.key] = prepare_scan(
                scan_task.scan,
                worker.cohort.prepared,
                settings=worker.segmenter.settings.preprocessing,
                steps=worker.steps,
            )
        except Exception as error:  # noqa: BLE001  one scan never stops the others
            outcomes[scan_task.scan.key] = _reason(error)
    return found


def _aligned(
    worker: _Worker,
    prepared: Mapping[tuple[str, str], PreparedScan],
    outcomes: dict[tuple[str, str], Outcome],
) -> dict[tuple[str, str], PreparedScan]:
    """The sessions that can be registered to each other, in the middle of them."""
    try:
        placed = align_what_registers(
            list(prepared.values()),
            [session_id for _, session_id in prepared],
            settings=worker.segmenter.settings.preprocessing.registration,
            correct_drift=worker.cohort.distortion.correct_drift,
            steps=worker.steps,
        )
    except Exception as error:  # noqa: BLE001  one participant never stops the others
        outcomes.update(dict.fromkeys(prepared, _reason(error)))
        return {}
    found: dict[tuple[str, str], PreparedScan] = {}
    for key, one in zip(prepared, placed, strict=True):
        if isinstance(one, ScanError):
            outcomes[key] = _reason(one)
        else:
            found[key] = one
    return found


def _segment_due(
    worker: _Worker,
    task: ParticipantTask,
    prepared: Mapping[tuple[str, str], PreparedScan],
    outcomes: dict[tuple[str, str], Outcome],
) -> SessionsUsed | None:
    """Segment and write the scans whose outputs are not there or rest on other sessions.

    Returns
    -------
    The sessions that they rest on; None where no scan came to be written.
    """
    ready = [one for one in task.scans if one.scan.key in prepared]
    done_with = {one.done_with for one in ready}
    if not ready or (None not in done_with and len(done_with) == 1):
        return None
    aligned: tuple[str, ...] = ()
    if worker.cohort.session_alignment != "none":
        aligned = tuple(sorted(session_id for _, session_id in prepared))
    shared = None
    if worker.version.mode == LONGITUDINAL:
        shared = _shared(worker, prepared, outcomes)
    used = SessionsUsed(aligned, tuple(sorted(session_id for _, session_id in shared or ())))
    to_write = [t for t in ready if t.scan.key not in outcomes and t.done_with != used]
    for scan_task in to_write:
        key = scan_task.scan.key
        try:
            outcomes[key] = _segment_scan(
                worker,
                with_sessions(scan_task, used, worker.version),
                prepared[key],
                None if shared is None else shared[key],
            )
        except Exception as error:  # noqa: BLE001  one scan never stops the others
            outcomes[key] = _reason(error)
    return used if to_write else None


def _measure_quality(
    worker: _Worker, task: ParticipantTask, prepared: Mapping[tuple[str, str], PreparedScan]
) -> None:
    try:
        intensity = worker.segmenter.settings.preprocessing.intensity
        measure_quality(task, prepared, intensity=intensity)
    except Exception as error:  # noqa: BLE001  lesion volumes do not wait for quality control
        who = task.scans[0].scan.participant_id
        _LOG.warning("quality of %s was not measured: %s", who, _reason(error))


def _reason(error: Exception) -> str:
    """Why a scan failed, for the table; a defect of the program also leaves its traceback.

    Raises
    ------
    DiskFullError : that it was; the next scan would fare no better.
    """
    if isinstance(error, DiskFullError):
        raise error
    if isinstance(error, UserError):
        return f"{error.what} ({Path(error.where).name}). {error.remedy}"
    _LOG.error("unexpected failure", exc_info=error)
    return f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _due(task: ParticipantTask) -> tuple[ScanTask, ...]:
    return tuple(scan_task for scan_task in task.scans if scan_task.scan.key in task.due)


def _shared(
    worker: _Worker,
    prepared: Mapping[tuple[str, str], PreparedScan],
    outcomes: dict[tuple[str, str], Outcome],
) -> dict[tuple[str, str], Image]:
    """Probabilities of the participant's sessions, each informed by the others."""
    found: dict[tuple[str, str], Image] = {}
    for key, ready in prepared.items():
        try:
            found[key] = worker.segmenter.probability(ready)
        except Exception as error:  # noqa: BLE001  one scan never stops the others
            outcomes[key] = _reason(error)
    try:
        informed = consistent_probabilities(
            [prepared[key] for key in found],
            list(found.values()),
            intensity=worker.segmenter.settings.preprocessing.intensity,
        )
    except Exception as error:  # noqa: BLE001  one participant never stops the others
        outcomes.update(dict.fromkeys(found, _reason(error)))
        return {}
    return dict(zip(found, informed, strict=True))


def _segment_scan(
    worker: _Worker, task: ScanTask, prepared: PreparedScan, shared: Image | None = None
) -> dict[str, Any]:
    """Segment, measure and write; ``shared`` is the probability that the sessions agreed on."""
    point = worker.version.manifest.operating_point
    found = segmented(worker.segmenter, prepared, point, probability=shared)
    probability, mask, measured = found.probability, found.mask, found.measured
    brain = prepared.brain_mask
    row: dict[str, Any] = {
        "lesion_volume_mm3": round(measured.lesion_volume_mm3, 3),
        "lesion_count": measured.lesion_count,
        "largest_lesion_volume_mm3": round(measured.largest_lesion_volume_mm3, 3),
        "brain_volume_mm3": round(found.brain_volume_mm3, 3),
        "voxel_volume_mm3": round(brain.voxel_volume_mm3, 6),
        "status": MEASURED,
        "reason": "",
        **geometry_row(prepared),
        # On the native grid: where volumes are corrected there are none to compare with.
        "alternatives": measure_alternatives(probability, point)
        if found.volumes_are_native
        else [],
    }
    in_mni = None
    if worker.mni != "none":
        transform = register_to_mni(prepared, kind=worker.mni, lesions=mask)
        share = to_mni(mask, prepared, transform, interpolation="linear")
        in_mni = InMni(
            mask=share.with_voxels((share.voxels >= _HALF).astype(np.uint8)), transform=transform
        )
    write_scan(
        task.outputs,
        mask=mask,
        probability=probability,
        key=task.key,
        version=worker.version,
        input_hashes=task.input_hashes,
        measurements=row,
        preprocessing={**_applied(worker, prepared), "HeaderRemarks": list(task.scan.remarks)},
        in_mni=in_mni,
        engine=worker.segmenter.described,
    )
    return row


def _applied(worker: _Worker, prepared: PreparedScan) -> Mapping[str, Any]:
    """What was done to the scan, with its transforms, so that a mask can go home."""
    drift = prepared.drift
    return {
        "Settings": worker.segmenter.settings.preprocessing.model_dump(mode="json"),
        "Sequences": sorted(prepared.sequences),
        "SessionsInformEachOther": worker.version.mode == LONGITUDINAL,
        "ParticipantSpaceFromFLAIR": prepared.to_participant.tolist(),
        "FLAIRFromSequence": {
            name: sequence.to_flair.tolist() for name, sequence in prepared.sequences.items()
        },
        "GradientNonlinearityCorrected": prepared.flair.gradient_warp is not None,
        "SessionStretch": None if drift is None else drift.stretch.tolist(),
        "SessionStretchCorrected": drift is not None and drift.corrected,
    }
