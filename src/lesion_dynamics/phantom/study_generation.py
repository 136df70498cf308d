"""Writing the study cohort, one participant at a time; its truth lies apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lesion_dynamics.phantom import bids_writer, truth
from lesion_dynamics.phantom.anatomy import load_template
from lesion_dynamics.phantom.disease_course import ParticipantCourse
from lesion_dynamics.phantom.lesion_shapes import draw_shape
from lesion_dynamics.phantom.lesion_sites import draw_sites
from lesion_dynamics.phantom.participant_anatomy import draw_anatomy
from lesion_dynamics.phantom.protocol import draw_position, study_protocol
from lesion_dynamics.phantom.random_streams import stream
from lesion_dynamics.phantom.scan_synthesis import Lesions, draw_appearance, synthesise
from lesion_dynamics.settings.phantom import PhantomSettings

FOLDER = Path("study")

_DEGREES, _MILLIMETRES = 3.0, 4.0


def is_written(course: ParticipantCourse, root: Path) -> bool:
    """Whether all sessions of a participant are there (truth is written last)."""
    return all(
        truth.mask_path(root, course.participant_id, session).is_file()
        for session in course.schedule.session_ids
    )


def write_participant(settings: PhantomSettings, course: ParticipantCourse, root: Path) -> None:
    """Synthesise and write the sessions that are not there yet."""
    name = course.participant_id
    template = load_template()
    anatomy = draw_anatomy(stream(settings.seed, "study", name, "anatomy"), template)
    rng = stream(settings.seed, "study", name, "lesions")
    volumes = course.lesions.volumes_mm3
    centres = draw_sites(rng, course.schedule.diagnosis, volumes.max(axis=1, initial=0.0))
    lesions = Lesions(
        shapes=[draw_shape(rng, centre) for centre in centres],
        centres_mm=anatomy.from_template_mm(centres.T).T,
        appearance=draw_appearance(rng, len(volumes)),
    )
    for number, session in enumerate(course.schedule.session_ids):
        mask_path = truth.mask_path(root, name, session)
        if mask_path.is_file():
            continue
        rng = stream(settings.seed, "study", name, session)
        protocol = study_protocol(
            course.schedule.scanners[number], voxel_size_mm=settings.voxel_size_mm
        )
        scan = synthesise(
            anatomy, template, lesions, protocol, rng,
            volumes_mm3=np.asarray(volumes[:, number]),
            total_mm3=float(course.totals_mm3[number]),
            participant_from_scanner=draw_position(
                rng, degrees=_DEGREES, millimetres=_MILLIMETRES
            ),
        )  # fmt: skip
        bids_writer.write_scan(root / FOLDER, name, session, scan.images, protocol)
        facts = truth.facts(scan, kinds=course.lesions.kinds, centres_mni_mm=centres)
        flair = bids_writer.scan_path(Path(), name, session, "FLAIR").as_posix()
        bids_writer.write_reference_mask(mask_path, scan.mask, source=flair, facts=facts)


def write_tables(courses: Sequence[ParticipantCourse], root: Path) -> None:
    """Write what describes the cohort as a whole."""
    folder = root / FOLDER
    bids_writer.write_description(folder, name="Phantom, study cohort")
    participants, attacks = [], []
    for course in courses:
        schedule = course.schedule
        participants.append(
            {
                "participant_id": schedule.participant_id,
                "diagnosis": schedule.diagnosis,
                "age": schedule.age,
                "sex": schedule.sex,
                "scanner": schedule.scanners[0],
            }
        )
        attacks += [
            {
                "participant_id": schedule.participant_id,
                "attack_id": f"{number:02d}",
                "days_from_baseline": day,
            }
            for number, day in enumerate(sorted(schedule.attacks), start=1)
        ]
        sessions = zip(schedule.session_ids, schedule.days, schedule.scanners, strict=True)
        bids_writer.write_sessions(
            folder,
            schedule.participant_id,
            [
                {"session_id": session, "days_from_baseline": day, "scanner": scanner}
                for session, day, scanner in sessions
            ],
        )
    bids_writer.write_participants(folder, participants)
    bids_writer.write_attacks(folder, attacks)
