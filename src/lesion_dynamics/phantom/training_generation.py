"""Writing the labelled training cohort, one participant at a time."""

from __future__ import annotations

from pathlib import Path

from lesion_dynamics.phantom import bids_writer
from lesion_dynamics.phantom.anatomy import load_template
from lesion_dynamics.phantom.lesion_course import draw_baseline
from lesion_dynamics.phantom.lesion_shapes import draw_shape
from lesion_dynamics.phantom.lesion_sites import draw_sites
from lesion_dynamics.phantom.participant_anatomy import draw_anatomy
from lesion_dynamics.phantom.protocol import draw_position, draw_protocol
from lesion_dynamics.phantom.random_streams import stream
from lesion_dynamics.phantom.scan_synthesis import Lesions, draw_appearance, synthesise
from lesion_dynamics.phantom.training_cohort import TrainingParticipant, training_participants
from lesion_dynamics.settings.phantom import PhantomSettings

FOLDER = Path("training")
REFERENCE = FOLDER / "derivatives" / "reference"
SESSION = "ses-01"

_DEGREES, _MILLIMETRES = 7.0, 6.0


def is_written(participant: TrainingParticipant, root: Path) -> bool:
    """Whether all files of a participant are there (the mask is written last)."""
    return bids_writer.mask_path(root / REFERENCE, participant.participant_id, SESSION).is_file()


def write_participant(
    settings: PhantomSettings, participant: TrainingParticipant, root: Path
) -> None:
    """Synthesise and write the one session of a participant."""
    name = participant.participant_id
    template = load_template()
    anatomy = draw_anatomy(stream(settings.seed, "training", name, "anatomy"), template)
    rng = stream(settings.seed, "training", name, "lesions")
    volumes = draw_baseline(rng, participant.load_mm3)
    centres = draw_sites(rng, participant.diagnosis, volumes)
    lesions = Lesions(
        shapes=[draw_shape(rng, centre) for centre in centres],
        centres_mm=anatomy.from_template_mm(centres.T).T,
        appearance=draw_appearance(rng, len(volumes)),
    )
    rng = stream(settings.seed, "training", name, SESSION)
    protocol = draw_protocol(rng, voxel_size_mm=settings.voxel_size_mm)
    position = draw_position(rng, degrees=_DEGREES, millimetres=_MILLIMETRES)
    scan = synthesise(
        anatomy, template, lesions, protocol, rng,
        volumes_mm3=volumes, total_mm3=participant.load_mm3, participant_from_scanner=position,
    )  # fmt: skip
    bids_writer.write_scan(root / FOLDER, name, SESSION, scan.images, protocol)
    flair = bids_writer.scan_path(Path(), name, SESSION, "FLAIR").as_posix()
    mask = bids_writer.mask_path(root / REFERENCE, name, SESSION)
    bids_writer.write_reference_mask(mask, scan.mask, source=flair)


def write_tables(settings: PhantomSettings, root: Path) -> None:
    """Write what describes the cohort as a whole."""
    rows = [
        {
            "participant_id": one.participant_id,
            "diagnosis": one.diagnosis,
            "age": one.age,
            "sex": one.sex,
            "scanner": "phantom",
        }
        for one in training_participants(settings)
    ]
    folder = root / FOLDER
    bids_writer.write_description(folder, name="Phantom, training cohort")
    bids_writer.write_description(root / REFERENCE, name="Phantom, reference masks", raw="../..")
    bids_writer.write_participants(folder, rows)
    for row in rows:
        session = {"session_id": SESSION, "days_from_baseline": 0, "scanner": "phantom"}
        bids_writer.write_sessions(folder, str(row["participant_id"]), [session])
