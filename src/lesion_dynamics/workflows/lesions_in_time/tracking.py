"""Lesion tracking: the masks of a model version become tables and maps of change."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import pandas as pd

from lesion_dynamics.atomic_files import (
    hash_of_file,
    require_writable_folder,
    write_json,
    write_text,
)
from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.cohort.reading import read_tables
from lesion_dynamics.errors import CohortError, ScanError
from lesion_dynamics.lesions.tracking.interval import CHANGES
from lesion_dynamics.lesions.tracking.noise import VolumeNoise
from lesion_dynamics.longitudinal.repeatability import (
    REPEATABILITY_FILE,
    read_repeatability,
    with_repeatability,
)
from lesion_dynamics.longitudinal.volume_error import Figures
from lesion_dynamics.settings.lesions_in_time import TrackSettings
from lesion_dynamics.settings.operating_point import Connectivity
from lesion_dynamics.workflows.lesions_in_time.segmented_sessions import (
    SegmentedSession,
    segmented_sessions,
)
from lesion_dynamics.workflows.lesions_in_time.table_columns import (
    INTERVAL_COLUMNS,
    LESION_COLUMNS,
)
from lesion_dynamics.workflows.lesions_in_time.tasks import (
    INTERVALS_FILE,
    LESIONS_FILE,
    TrackedSession,
    TrackingTask,
    finished_rows,
)
from lesion_dynamics.workflows.lesions_in_time.tracking_worker import track_participant
from lesion_dynamics.workflows.lineage.derived import write_derived_lineage
from lesion_dynamics.workflows.processes import in_processes

_LOG = logging.getLogger(__name__)
_TRANSFORM = "ParticipantSpaceFromFLAIR"


@dataclass(frozen=True, slots=True)
class Tracking:
    """lesions, intervals : paths of the tables. done, kept : participants. failed : reasons."""

    lesions: Path
    intervals: Path
    done: int
    kept: int
    failed: tuple[str, ...]

    def require_no_failures(self) -> None:
        """Raise `ScanError` if a participant failed; everything else is done and written."""
        if self.failed:
            raise ScanError(
                f"{len(self.failed)} participant(s) could not be tracked and are in no table",
                where=self.failed[0],
                remedy="Run infer.py again, then this command: the others are kept.",
            )


def run(settings: TrackSettings) -> Tracking:
    """Track every participant with two sessions or more that is not up to date.

    Raises
    ------
    UserError : nothing was segmented there, the cohort is another one, or no transforms.
    """
    tables = read_tables(settings.cohort)
    sessions = segmented_sessions(settings.derivatives, tables)
    tasks = _tasks(sessions, tables, settings)
    if not tasks:
        raise CohortError(
            "no participant has two segmented sessions with a day", where=settings.derivatives,
            remedy="Lesions are tracked between sessions: check the sessions tables.",
        )  # fmt: skip
    require_writable_folder(settings.derivatives)
    _say_what_was_not_aligned(sessions)
    rows = {task.participant_id: finished_rows(task) for task in tasks}
    due = [task for task in tasks if rows[task.participant_id] is None]
    failed = []
    for done in in_processes(
        track_participant,
        due,
        processes=settings.processes,
        description="tracking participants",
    ):
        if done.result is None:
            failed.append(f"{done.item.participant_id}: {done.failure}")
        rows[done.item.participant_id] = done.result
    for reason in failed:
        _LOG.warning("not tracked: %s", reason)
    found = [own for own in rows.values() if own is not None]
    result = Tracking(
        lesions=settings.derivatives / LESIONS_FILE,
        intervals=settings.derivatives / INTERVALS_FILE,
        done=len(due) - len(failed),
        kept=len(tasks) - len(due),
        failed=tuple(sorted(failed)),
    )
    lesions = [row for own in found for row in own["lesions"]]
    _write(result.lesions, lesions, LESION_COLUMNS)
    _write(result.intervals, [row for own in found for row in own["intervals"]], INTERVAL_COLUMNS)
    _write_lineage(result, settings)
    _report(result, lesions)
    return result


def _write_lineage(result: Tracking, settings: TrackSettings) -> None:
    write_derived_lineage(
        settings.derivatives,
        command="track",
        source=("lesions", "workflows/lesions_in_time"),
        outputs=[result.lesions, result.intervals],
        settings=settings,
        made_from=[settings.derivatives],
        cohort_root=settings.cohort.root,
        file="lineage_track.json",
    )


def _tasks(
    sessions: Sequence[SegmentedSession], tables: CohortTables, settings: TrackSettings
) -> list[TrackingTask]:
    diagnoses = tables.participants.set_index("participant_id")["diagnosis"]
    noise = _noise(settings.derivatives)
    tasks = []
    for participant_id, grouped in groupby(sessions, key=lambda one: one.participant_id):
        members = list(grouped)
        if len(members) < 2:
            continue
        tasks.append(
            TrackingTask(
                participant_id=participant_id,
                model_version=str(members[0].row["model_version"]),
                sessions=tuple(_tracked(one) for one in members),
                connectivity=cast(Connectivity, int(members[0].row["connectivity"])),
                rules=settings.rules,
                spacing_mm=settings.spacing_mm,
                noise=noise.get(str(diagnoses[participant_id])),
                folder=settings.derivatives,
            )
        )
    return tasks


def _tracked(one: SegmentedSession) -> TrackedSession:
    matrix = one.sidecar.get("Preprocessing", {}).get(_TRANSFORM)
    if matrix is None:
        raise CohortError(
            f"the sidecar of this mask has no {_TRANSFORM}", where=one.outputs.sidecar,
            remedy="Only masks that infer.py wrote can be tracked: it aligns the sessions.",
        )  # fmt: skip
    return TrackedSession(
        session_id=one.session_id,
        days=one.days,
        mask=one.outputs.mask,
        mask_hash=hash_of_file(one.outputs.mask),
        to_participant=tuple(tuple(float(value) for value in line) for line in matrix),
        native_volume_mm3=float(one.row["lesion_volume_mm3"]),
    )


def _noise(derivatives: Path) -> dict[str, VolumeNoise]:
    """By diagnosis, from the repeatability record of the model version, if there is one."""
    path = derivatives / REPEATABILITY_FILE
    if not path.is_file():
        return {}
    none: Figures = {}
    return {
        diagnosis: VolumeNoise(figure.noise_mm3, figure.noise_share)
        for diagnosis, figure in with_repeatability(none, read_repeatability(path)).items()
    }


def _say_what_was_not_aligned(sessions: Sequence[SegmentedSession]) -> None:
    apart = {
        one.participant_id
        for one in sessions
        if one.sidecar.get("InputHashes", {}).get("session_alignment") == "none"
    }
    if apart:
        _LOG.warning(
            "%d participant(s) were segmented with cohort.session_alignment=none: their masks are"
            " compared where they lie. If the scans do not share a space already, run infer.py"
            " with cohort.session_alignment=rigid first.",
            len(apart),
        )


def _write(path: Path, rows: list[dict[str, Any]], columns: dict[str, str]) -> None:
    table = pd.DataFrame(rows, columns=list(columns))
    write_json(path.with_suffix(".json"), {name: {"Description": d} for name, d in columns.items()})
    write_text(path, table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n"))


def _report(result: Tracking, lesions: Sequence[dict[str, Any]]) -> None:
    counts = {change: sum(row["change"] == change for row in lesions) for change in CHANGES}
    _LOG.info(
        "%d participants tracked, %d up to date, %d failed; %s; tables in %s",
        result.done,
        result.kept,
        len(result.failed),
        ", ".join(f"{count} {change.replace('_', ' ')}" for change, count in counts.items()),
        result.intervals.parent,
    )
