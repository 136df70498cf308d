"""The scans of a cohort, or of a part of one: looked up, segmented, measured, written."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from lesion_dynamics.cohort.cohort import Cohort, Exclusion, Scan
from lesion_dynamics.cohort.pixel_check import unusable_masks, unusable_scans
from lesion_dynamics.errors import ScanError
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.preprocessing.steps import Steps
from lesion_dynamics.records.derivatives import ScanOutputs, scan_key
from lesion_dynamics.records.file_hashes import FileHashes
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.workflows.inference_keys import finished, inputs_of
from lesion_dynamics.workflows.inference_quality import quality_task
from lesion_dynamics.workflows.inference_tasks import ParticipantTask, ScanTask
from lesion_dynamics.workflows.objects.mirror import Mirror
from lesion_dynamics.workflows.objects.staging import publish_scan
from lesion_dynamics.workflows.processes import cores
from lesion_dynamics.workflows.spreading import spread

_LOG = logging.getLogger(__name__)
Rows = dict[tuple[str, str], dict[str, Any]]
"""The measured columns of each scan that is done."""


@dataclass(frozen=True)
class Worked:
    """What came of scans.

    tasks : all of them, by participant. rows : of the scans that are done, now or before.
    kept : how many were found up to date. unusable : scans whose voxels are no image.
    failed : scans that could not be segmented.
    """

    tasks: tuple[ParticipantTask, ...]
    rows: Rows
    kept: int
    unusable: tuple[Exclusion, ...]
    failed: tuple[Exclusion, ...]


@dataclass
class Outcome:
    """What is to be written of all scans of a cohort.

    rows, kept, unusable, failed : as in `Worked`. input_hashes : of every scan, by its name.
    sidecars : of the masks that lie here. engines : of those that do not.
    quality : of participants whose files do not lie here, what their quality file holds.
    """

    rows: Rows = field(default_factory=dict)
    kept: int = 0
    unusable: list[Exclusion] = field(default_factory=list)
    failed: list[Exclusion] = field(default_factory=list)
    input_hashes: dict[str, Any] = field(default_factory=dict)
    sidecars: list[Path] = field(default_factory=list)
    engines: set[str] = field(default_factory=set)
    quality: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, worked: Worked) -> Outcome:
        """Of a cohort that was worked on in one go."""
        outcome = cls()
        outcome.add(worked)
        outcome.sidecars = [t.outputs.sidecar for p in worked.tasks for t in p.scans]
        return outcome

    def add(self, worked: Worked) -> None:
        """A part more."""
        self.rows |= worked.rows
        self.kept += worked.kept
        self.unusable += worked.unusable
        self.failed += worked.failed
        for task in worked.tasks:
            for one in task.scans:
                self.input_hashes[" ".join(one.scan.key)] = one.input_hashes


def work_on(
    cohort: Cohort,
    version: ModelVersion,
    folder: Path,
    settings: InferSettings,
    *,
    steps: Steps,
    mirror: Mirror | None,
    part: bool = False,
) -> Worked:
    """Segment and measure every scan that is not up to date, and say who is left out.

    mirror : of ``folder`` in an object store, which takes each scan when it is done.
    part : of a cohort, which may be without a usable scan.

    Raises
    ------
    UserError : no scan can be used; a file vanished since the cohort was read; the cluster cannot
        be used; the output cannot be written.
    """
    rows, tasks = _look_up(cohort, version, folder, settings)
    unusable = _unusable(tasks, settings)
    if not part:
        require_some_usable(len(cohort.scans), unusable)
    for exclusion in (*cohort.exclusions, *unusable):
        _LOG.warning("left out: %s", exclusion.line)
    for mask in (*cohort.unused_masks, *_unusable_masks(tasks, settings)):
        _LOG.warning("segmented all the same, without its reference mask: %s", mask.line)
    to_do = _to_do(tasks, unusable, version, folder)
    new_rows, failed = _segment(to_do, version, steps, settings, mirror)
    failed.sort(key=lambda one: (one.participant_id, one.session_id or ""))
    for failure in failed:  # the others were said before the work began
        _LOG.warning("failed: %s", failure.line)
        rows.pop((failure.participant_id, failure.session_id or ""), None)
    kept = len(rows.keys() - new_rows.keys())
    rows.update(new_rows)
    return Worked(tuple(tasks), rows, kept, tuple(unusable), tuple(failed))


def require_some_usable(scans: int, unusable: Sequence[Exclusion]) -> None:
    """Raise `ScanError` if no scan is left."""
    if len(unusable) == scans:
        raise ScanError(
            f"no scan can be used; the first: {unusable[0].explained}",
            where=unusable[0].who,
            remedy="Mend the files, or name another cohort.",
        )


def _look_up(
    cohort: Cohort, version: ModelVersion, folder: Path, settings: InferSettings
) -> tuple[Rows, list[ParticipantTask]]:
    """Rows of the scans that are done, and all participants with the scans that are not."""
    hashes = FileHashes(settings.cache.folder)
    with ThreadPoolExecutor(settings.executor.processes or cores()) as pool:
        hashed = list(pool.map(lambda scan: _file_hashes(scan, hashes), cohort.scans))
    rows: Rows = {}
    tasks: list[ParticipantTask] = []
    pairs = zip(cohort.scans, hashed, strict=True)
    for participant_id, grouped in groupby(pairs, key=lambda pair: pair[0].participant_id):
        members = list(grouped)
        of_sessions = {scan.session_id: files for scan, files in members}
        scan_tasks: list[ScanTask] = []
        for scan, _ in members:
            inputs = inputs_of(scan, of_sessions, version, settings)
            outputs = ScanOutputs.of(participant_id, scan.session_id, folder)
            key = scan_key(inputs, version)
            done = finished(inputs, key, outputs, version, hash_of=hashes.of)
            done_with = None
            if done is not None:
                done_with, rows[scan.key] = done
            scan_tasks.append(ScanTask(scan, key, inputs, outputs, done_with))
        due = frozenset(task.scan.key for task in scan_tasks if task.done_with is None)
        tasks.append(ParticipantTask(tuple(scan_tasks), due))
    hashes.keep()
    return rows, tasks


def _file_hashes(scan: Scan, hashes: FileHashes) -> dict[str, str]:
    found = {}
    for name, path in scan.input_files.items():
        try:
            found[name] = hashes.of(path)
        except OSError as error:  # its header could be read a moment ago
            raise ScanError(
                f"this file can no longer be read ({error.strerror})",
                where=path,
                remedy="Put it back, and start the same command again: what is done is kept.",
            ) from error
    return found


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
        if len({t.done_with for t in scans} - {None}) > 1:  # they lie in spaces of their own
            due = frozenset(t.scan.key for t in scans)
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
) -> tuple[Rows, list[Exclusion]]:
    if not tasks:
        return {}, []
    # Only the worker processes load torch.
    from lesion_dynamics.workflows.inference_worker import load_segmenter, segment_participant

    rows: Rows = {}
    failed: list[Exclusion] = []
    # The longest first: at the end no process waits long for another.
    longest_first = sorted(tasks, key=lambda task: -len(task.due))
    for done in spread(
        segment_participant,
        longest_first,
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
            if done.result is not None:
                outcome = done.result.get(key)
            else:
                outcome = str(done.failure) if _is_lost(scan_task, done.item, version) else None
            if isinstance(outcome, str):
                failed.append(Exclusion(*key, outcome, failed=True))
            elif outcome is not None:
                rows[key] = outcome
                publish_scan(mirror, scan_task.outputs)
    return rows, failed


def _is_lost(task: ScanTask, participant: ParticipantTask, version: ModelVersion) -> bool:
    """Whether a scan has no outputs any more, after the work on its participant broke off."""
    if task.done_with is None:
        return True
    if not participant.due:
        return False
    done = finished(task.input_hashes, task.key, task.outputs, version)
    return done is None or done[0] != task.done_with
