"""Inference: a cohort and a model version become lesion masks and a table of lesion volumes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from lesion_dynamics.atomic_files import require_writable_folder
from lesion_dynamics.cohort.cohort import Cohort, Exclusion, Scan
from lesion_dynamics.cohort.pixel_check import unusable_masks, unusable_scans
from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import ScanError
from lesion_dynamics.longitudinal.measurements import FILE_NAME
from lesion_dynamics.model_version import LONGITUDINAL, ModelVersion
from lesion_dynamics.output_lock import sole_writer
from lesion_dynamics.preprocessing.gradient_distortion import require_usable_coefficients
from lesion_dynamics.preprocessing.step_cache import open_cache, trim
from lesion_dynamics.preprocessing.steps import Steps
from lesion_dynamics.records.derivatives import ScanOutputs, finished_row, scan_key
from lesion_dynamics.records.file_hashes import FileHashes
from lesion_dynamics.records.outside_version import refuse_outside_folder
from lesion_dynamics.records.repeatability_record import bring_to_measurements
from lesion_dynamics.segmenter.engines.choice import require_engine
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.workflows.inference_quality import (
    quality_task,
    report_quality,
    write_quality_table,
)
from lesion_dynamics.workflows.inference_tables import write_tables
from lesion_dynamics.workflows.inference_tasks import ParticipantTask, ScanTask
from lesion_dynamics.workflows.lineage.recorded_settings import of_inference
from lesion_dynamics.workflows.lineage.written import write_inference_lineage
from lesion_dynamics.workflows.objects.mirror import Mirror
from lesion_dynamics.workflows.objects.staging import (
    output_folder,
    publish_rest,
    publish_scan,
    staged,
)
from lesion_dynamics.workflows.processes import cores
from lesion_dynamics.workflows.spreading import spread

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class InferenceResult:
    """What came of an inference.

    measurements : path of the table. done, kept : scans segmented now, and found up to date.
    failures : scans left out because something is wrong with them.
    """

    folder: Path
    measurements: Path
    done: int
    kept: int
    failures: tuple[Exclusion, ...]

    def require_no_failures(self) -> None:
        """Raise `ScanError` if a scan failed; everything else is done and written."""
        if self.failures:
            first = self.failures[0]
            raise ScanError(
                f"{len(self.failures)} scan(s) failed and stand in the table with their reason; "
                f"{self.done + self.kept} are done",
                where=first.who,
                remedy="Mend the files and start the same command again: the others are kept.",
            )


def run(settings: InferSettings) -> InferenceResult:
    """Segment and measure every scan that is not up to date.

    Scans that fail stand in the table with their reason and are listed in the result.

    Raises
    ------
    UserError : the cohort or the model version cannot be used, or the output not be written;
        another process is writing it.
    """
    require_engine(settings.engine)
    version = version_of(settings)
    settings = staged(settings)
    segmenter = version.manifest.segmenter
    cohort = read_cohort(
        settings.cohort,
        required_sequences=segmenter.required_sequences,
        optional_sequences=segmenter.optional_sequences,
        masks_needed=False,
    )
    require_usable_coefficients(cohort)
    folder, mirror = output_folder(settings, settings.cohort.name, version.folder_name)
    refuse_outside_folder(folder)
    require_writable_folder(folder)
    with sole_writer(folder):
        if mirror is not None:
            mirror.fetch()
        result = _run(cohort, version, folder, settings, mirror)
        publish_rest(mirror)
    return result


def version_of(settings: InferSettings) -> ModelVersion:
    """The model version that is applied, in the mode in which it is.

    Raises
    ------
    ModelVersionError : there is no such version, or its members do not go together.
    """
    from lesion_dynamics.records.ensembles import resolve_all

    version = resolve_all(settings.model_version, settings.tracking, tta=settings.tta)
    return version if settings.longitudinal == "none" else replace(version, mode=LONGITUDINAL)


def _run(
    cohort: Cohort,
    version: ModelVersion,
    folder: Path,
    settings: InferSettings,
    mirror: Mirror | None,
) -> InferenceResult:
    rows, tasks = _look_up(cohort, version, folder, settings)
    unusable = _unusable(tasks, settings)
    if len(unusable) == len(cohort.scans):
        raise ScanError(
            f"no scan can be used; the first: {unusable[0].explained}",
            where=unusable[0].who,
            remedy="Mend the files, or name another cohort.",
        )
    for exclusion in (*cohort.exclusions, *unusable):
        _LOG.warning("left out: %s", exclusion.line)
    for mask in (*cohort.unused_masks, *_unusable_masks(tasks, settings)):
        _LOG.warning("segmented all the same, without its reference mask: %s", mask.line)
    kept = len(rows)
    failures = [*_broken(cohort), *unusable]
    steps = Steps(open_cache(settings.cache))
    to_do = _to_do(tasks, unusable, version, folder)
    new_rows, failed = _segment(to_do, version, steps, settings, mirror)
    trim(settings.cache)
    rows.update(new_rows)
    failures += failed
    for failure in failed:  # the others were said before the work began
        _LOG.warning("failed: %s", failure.line)
    result = InferenceResult(folder, folder / FILE_NAME, len(new_rows), kept, tuple(failures))
    write_tables(folder, rows, failures, cohort, version)
    write_inference_lineage(
        folder,
        version,
        input_hashes={" ".join(t.scan.key): t.input_hashes for p in tasks for t in p.scans},
        settings=of_inference(settings),
        cohort_root=settings.cohort.root,
        threads=settings.executor.threads_per_process,
        sidecars=[t.outputs.sidecar for p in tasks for t in p.scans],
    )
    _report(result, version)
    quality = write_quality_table(folder, cohort, settings.quality)
    bring_to_measurements(version, folder)
    report_quality(quality, len(cohort.scans) - len(unusable), settings.quality)
    return result


def _look_up(
    cohort: Cohort, version: ModelVersion, folder: Path, settings: InferSettings
) -> tuple[dict[tuple[str, str], dict[str, Any]], list[ParticipantTask]]:
    """Rows of the scans that are up to date, and all participants with those that are not."""
    hashes = FileHashes(settings.cache.folder)
    with ThreadPoolExecutor(settings.executor.processes or cores()) as pool:
        hashed = list(pool.map(lambda scan: _file_hashes(scan, hashes), cohort.scans))
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    tasks: list[ParticipantTask] = []
    pairs = zip(cohort.scans, hashed, strict=True)
    for participant_id, grouped in groupby(pairs, key=lambda pair: pair[0].participant_id):
        members = list(grouped)
        scan_tasks: list[ScanTask] = []
        for scan, files in members:
            inputs: dict[str, Any] = {
                "files": files,
                "prepared": (scan.prepared or settings.cohort.prepared).model_dump(),
                "session_alignment": settings.cohort.session_alignment,
                "mni": settings.mni,
            }
            if settings.cohort.session_alignment != "none":
                inputs["sessions_aligned_with"] = {s.session_id: f for s, f in members}
                inputs["correct_drift"] = settings.cohort.distortion.correct_drift
            outputs = ScanOutputs.of(participant_id, scan.session_id, folder)
            key = scan_key(inputs, version)
            scan_tasks.append(ScanTask(scan, key, inputs, outputs))
        due = set()
        for task in scan_tasks:
            row = finished_row(task.outputs, task.key, hash_of=hashes.of)
            if row is None:
                due.add(task.scan.key)
            else:
                rows[task.scan.key] = row
        tasks.append(ParticipantTask(tuple(scan_tasks), frozenset(due)))
    hashes.keep()
    return rows, tasks


def _file_hashes(scan: Scan, hashes: FileHashes) -> dict[str, str]:
    return {name: hashes.of(path) for name, path in scan.input_files.items()}


def _unusable(tasks: Sequence[ParticipantTask], settings: InferSettings) -> list[Exclusion]:
    scans = [t.scan for task in tasks for t in task.scans if t.scan.key in task.due]
    processes = settings.executor.processes or cores()
    return unusable_scans(scans, processes=processes, masks_needed=False)


def _unusable_masks(tasks: Sequence[ParticipantTask], settings: InferSettings) -> list[Exclusion]:
    scans = [t.scan for task in tasks for t in task.scans if t.scan.key in task.due]
    return unusable_masks(scans, processes=settings.executor.processes or cores())


def _to_do(
    tasks: Sequence[ParticipantTask],
    unusable: Sequence[Exclusion],
    version: ModelVersion,
    folder: Path,
) -> list[ParticipantTask]:
    """Participants with usable scans that are due, or whose quality is not measured yet."""
    preprocessing = version.manifest.segmenter.preprocessing
    bad = {(e.participant_id, e.session_id) for e in unusable}
    kept = []
    for task in tasks:
        scans = tuple(t for t in task.scans if t.scan.key not in bad)
        if not scans:
            continue
        due = frozenset(key for key in task.due if key not in bad)
        usable = ParticipantTask(scans, due)
        quality = quality_task(usable, folder, preprocessing)
        if due or quality is not None:
            kept.append(replace(usable, quality=quality))
    return kept


def _segment(
    tasks: list[ParticipantTask],
    version: ModelVersion,
    steps: Steps,
    settings: InferSettings,
    mirror: Mirror | None,
) -> tuple[dict[tuple[str, str], dict[str, Any]], list[Exclusion]]:
    if not tasks:
        return {}, []
    # Only the worker processes load torch.
    from lesion_dynamics.workflows.inference_worker import load_segmenter, segment_participant

    rows: dict[tuple[str, str], dict[str, Any]] = {}
    failed: list[Exclusion] = []
    for done in spread(
        segment_participant,
        tasks,
        executor=settings.executor,
        description="segmenting participants",
        initializer=load_segmenter,
        arguments=(
            version,
            settings.cohort,
            settings.mni,
            steps,
            settings.executor.threads_per_process,
            settings.engine,
        ),
    ):
        for scan_task in done.item.scans:
            key = scan_task.scan.key
            if key not in done.item.due:
                continue
            outcome = done.result[key] if done.result is not None else str(done.failure)
            if isinstance(outcome, str):
                failed.append(Exclusion(*key, outcome, failed=True))
            else:
                rows[key] = outcome
                publish_scan(mirror, scan_task.outputs)
    return rows, failed


def _broken(cohort: Cohort) -> list[Exclusion]:
    """Scans whose files are there and wrong; a session without a FLAIR is no failure."""
    return [e for e in cohort.exclusions if e.failed]


def _report(result: InferenceResult, version: ModelVersion) -> None:
    _LOG.info(
        "%s: %d scans segmented, %d up to date, %d failed; volumes in %s",
        version.label,
        result.done,
        result.kept,
        len(result.failures),
        result.measurements,
    )
