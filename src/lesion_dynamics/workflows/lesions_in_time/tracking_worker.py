"""What one process of lesion tracking does: the sessions of a participant, interval by interval."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lesion_dynamics import __version__
from lesion_dynamics.atomic_files import hash_of_file, write_json
from lesion_dynamics.cohort.remission import DAYS_PER_YEAR
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.imaging.writing import write_labels
from lesion_dynamics.lesions.tracking.interval import (
    CHANGES,
    MAP_LABELS,
    LabelledSession,
    TrackedInterval,
    TrackedLesion,
    track_interval,
)
from lesion_dynamics.workflows.lesions_in_time.tasks import TrackedSession, TrackingTask
from lesion_dynamics.workflows.lesions_in_time.tracking_grid import (
    TrackingGrid,
    on_grid,
    tracking_grid,
)

_DECIMALS = 3
RECORD = "repeatability record"
SHELL = "boundary shell"


def track_participant(task: TrackingTask) -> dict[str, Any]:
    """Track, write the maps of change and the record; returns the rows of both tables."""
    task.record.unlink(missing_ok=True)
    masks = [read_mask(session.mask) for session in task.sessions]
    places = [session.place for session in task.sessions]
    grid = tracking_grid(masks, places, spacing_mm=task.spacing_mm)
    sessions = [
        LabelledSession.of_mask(on_grid(mask, place, grid), connectivity=task.connectivity)
        for mask, place in zip(masks, places, strict=True)
    ]
    intervals = [
        track_interval(one, other, affine=grid.affine, rules=task.rules, noise=task.noise)
        for one, other in pairwise(sessions)
    ]
    numbers = _lesion_numbers(sessions, intervals)
    written = []
    for (start, end), interval in zip(pairwise(task.sessions), intervals, strict=True):
        written += _write_map(task, start, end, interval, grid)
    rows = {
        "lesions": [
            row
            for k, interval in enumerate(intervals)
            for row in _lesion_rows(task, k, interval, numbers)
        ],
        "intervals": [_interval_row(task, k, interval) for k, interval in enumerate(intervals)],
    }
    folder = task.folder / task.participant_id
    write_json(
        task.record,
        {
            "Description": "Lesions tracked between the sessions of this participant",
            "ModelVersion": task.model_version,
            "Rules": task.rules.model_dump(),
            "Software": f"lesion-dynamics {__version__}",
            "OutputHashes": {p.relative_to(folder).as_posix(): hash_of_file(p) for p in written},
            "Lesions": rows["lesions"],
            "Intervals": rows["intervals"],
            "Key": task.key,
        },
    )
    return rows


def _lesion_numbers(
    sessions: list[LabelledSession], intervals: list[TrackedInterval]
) -> list[NDArray[np.int64]]:
    """For each session the number, from 1, of every label: the same through all sessions.

    Whatever is one family in some interval has one number; a new lesion that joined an old one
    has the old one's.
    """
    first = np.concatenate([[0], np.cumsum([one.count for one in sessions])])
    edges: list[tuple[int, int]] = []
    for k, interval in enumerate(intervals):
        for lesion in interval.lesions:
            nodes = [first[k] + label - 1 for label in lesion.earlier]
            nodes += [first[k + 1] + label - 1 for label in lesion.later]
            edges += [(int(nodes[0]), int(node)) for node in nodes[1:]]
    total = int(first[-1])
    ends = np.array(edges, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(total, total))
    component = connected_components(graph, directed=False)[1].astype(np.int64) + 1
    return [component[a:b] for a, b in pairwise(first.tolist())]


def _lesion_rows(
    task: TrackingTask, k: int, interval: TrackedInterval, numbers: list[NDArray[np.int64]]
) -> list[dict[str, Any]]:
    start, end = task.sessions[k], task.sessions[k + 1]
    rows = []
    for lesion in interval.lesions:
        number = (
            numbers[k][lesion.earlier[0] - 1]
            if lesion.earlier
            else numbers[k + 1][lesion.later[0] - 1]
        )
        rows.append(
            {
                "participant_id": task.participant_id,
                "start_session_id": start.session_id,
                "end_session_id": end.session_id,
                "model_version": task.model_version,
                "lesion_id": int(number),
                "change": lesion.change,
                "volume_change": lesion.volume_change,
                "joined": "yes" if lesion.joined else "no",
                "start_lesion_count": len(lesion.earlier),
                "end_lesion_count": len(lesion.later),
                "start_lesion_volume_mm3": lesion.earlier_volume_mm3,
                "end_lesion_volume_mm3": lesion.later_volume_mm3,
                "noise_margin_mm3": lesion.margin_mm3,
                **dict(zip(("x_mm", "y_mm", "z_mm"), lesion.centre_mm, strict=True)),
            }
        )
    return sorted(rows, key=lambda row: (row["lesion_id"], row["change"], row["x_mm"]))


def _interval_row(task: TrackingTask, k: int, interval: TrackedInterval) -> dict[str, Any]:
    start, end = task.sessions[k], task.sessions[k + 1]
    row: dict[str, Any] = {
        "participant_id": task.participant_id,
        "start_session_id": start.session_id,
        "end_session_id": end.session_id,
        "model_version": task.model_version,
        "interval_years": round((end.days - start.days) / DAYS_PER_YEAR, 6),
    }
    by_change = {
        change: [lesion for lesion in interval.lesions if lesion.change == change]
        for change in CHANGES
    }
    row.update({f"{change}_lesion_count": len(own) for change, own in by_change.items()})
    row.update({f"{change}_lesion_volume_mm3": _volume(own) for change, own in by_change.items()})
    row.update(
        {f"{change}_volume_change_mm3": _volume_change(own) for change, own in by_change.items()}
    )
    lesions = interval.lesions
    row["start_tracked_volume_mm3"] = _rounded(sum(x.earlier_volume_mm3 for x in lesions))
    row["end_tracked_volume_mm3"] = _rounded(sum(x.later_volume_mm3 for x in lesions))
    row["start_lesion_volume_mm3"] = start.native_volume_mm3
    row["end_lesion_volume_mm3"] = end.native_volume_mm3
    row["noise_margin_from"] = SHELL if task.noise is None else RECORD
    return row


def _volume(lesions: list[TrackedLesion]) -> float:
    return _rounded(sum(x.later_volume_mm3 or x.earlier_volume_mm3 for x in lesions))


def _volume_change(lesions: list[TrackedLesion]) -> float:
    return _rounded(sum(x.later_volume_mm3 - x.earlier_volume_mm3 for x in lesions))


def _rounded(value: float) -> float:
    return round(value, _DECIMALS) + 0.0


def _write_map(
    task: TrackingTask,
    start: TrackedSession,
    end: TrackedSession,
    interval: TrackedInterval,
    grid: TrackingGrid,
) -> list[Any]:
    image, sidecar = task.map_of(end.session_id), task.map_of(end.session_id, ".json")
    write_labels(image, Image(interval.change_map, grid.affine))
    write_json(
        sidecar,
        {
            "Description": f"Lesions since {start.session_id}, by what became of them",
            "Labels": {str(label): name for name, label in MAP_LABELS.items()},
            "ModelVersion": task.model_version,
            "StartSession": start.session_id,
            "SpatialReference": "the participant's space: the FLAIR's world moved by "
            "ParticipantSpaceFromFLAIR of the lesion mask's sidecar",
            "Interpolated": not grid.copied,
            "Software": f"lesion-dynamics {__version__}",
        },
    )
    return [image, sidecar]
