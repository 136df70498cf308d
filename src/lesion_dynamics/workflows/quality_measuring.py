"""The quality measures of a participant's prepared scans, kept with a key that says of which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.quality.scan_measures import measure_participant
from lesion_dynamics.settings.preprocessing import IntensitySettings
from lesion_dynamics.workflows.inference_quality import keep_measures, quality_of
from lesion_dynamics.workflows.inference_tasks import ParticipantTask


def measure_quality(
    task: ParticipantTask,
    prepared: Mapping[tuple[str, str], PreparedScan],
    *,
    intensity: IntensitySettings,
) -> None:
    """Measure the scans of a participant and write the measures, where this is to be done.

    The measures of a scan depend on the participant's others. Where some could not be prepared,
    the key names them, and all are measured again as soon as another choice can be.

    prepared : the scans of `task` that can be used, aligned.

    Raises
    ------
    Exception : whatever the measuring of an unusual image ends in.
    """
    quality = task.quality
    if quality is None or not prepared:
        return
    missing = sorted(one.scan.session_id for one in task.scans if one.scan.key not in prepared)
    if missing:
        quality = replace(quality, key=f"{quality.key} without {' '.join(missing)}")
        kept = quality_of(quality.path.parent.name, quality.path.parent.parent)
        if kept.get("Key") == quality.key:
            return
    measured = measure_participant(list(prepared.values()), intensity=intensity)
    sessions = [session_id for _, session_id in prepared]
    keep_measures(quality, dict(zip(sessions, measured, strict=True)))
