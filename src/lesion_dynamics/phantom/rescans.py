"""The same participants scanned again and again: nothing changes but noise, bias and position.

Every session of a rescanned participant has the lesions of its first one, on the same scanner,
a day apart. What a segmenter measures differently between them is its own noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lesion_dynamics import atomic_files
from lesion_dynamics.phantom import study_generation, truth
from lesion_dynamics.phantom.disease_course import ParticipantCourse
from lesion_dynamics.settings.phantom import PhantomSettings


def rescanned(course: ParticipantCourse, *, scans: int) -> ParticipantCourse:
    """The participant with the first session's lesions in ``scans`` sessions, without attacks."""
    first = course.lesions.volumes_mm3[:, 0]
    kept = np.flatnonzero(first > 0)
    return replace(
        course,
        schedule=replace(
            course.schedule,
            days=tuple(range(scans)),
            scanners=(course.schedule.scanners[0],) * scans,
            attacks=(),
        ),
        totals_mm3=np.full(scans, course.totals_mm3[0]),
        lesions=replace(
            course.lesions,
            volumes_mm3=np.tile(first[kept, None], (1, scans)),
            kinds=("stable",) * len(kept),
        ),
    )


def write_rescans(
    settings: PhantomSettings, courses: Sequence[ParticipantCourse], root: Path, *, scans: int
) -> None:
    """Write a cohort of rescans into ``root/study`` and its truth into ``root/truth/study``.

    The same seed gives the same bytes; scans that are there already stay.
    """
    again = [rescanned(course, scans=scans) for course in courses]
    atomic_files.require_writable_folder(root)
    study_generation.write_tables(again, root)
    for course in again:
        study_generation.write_participant(settings, course, root)
    truth.write_tables(
        [(one.participant_id, session) for one in again for session in one.schedule.session_ids],
        root,
    )
