"""What will be trained, fixed and checked before torch is loaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lesion_dynamics.atomic_files import hash_of_content, require_writable_folder
from lesion_dynamics.cohort.cohort import Cohort, Scan
from lesion_dynamics.cohort.pixel_check import unusable_scans
from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.cohort.splits import Split, split_participants
from lesion_dynamics.errors import CohortError, ScanError
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.segmenter.training_scans import prepared_folder_name
from lesion_dynamics.settings.training import TrainSettings
from lesion_dynamics.source_hash import hash_of_source
from lesion_dynamics.workflows.processes import cores

_LOG = logging.getLogger(__name__)
_SOURCE = (
    "imaging",
    "lesions",
    "preprocessing",
    "segmenter",
    "cohort/splits",
    "settings/preprocessing",
    "settings/segmenter",
    "settings/training",
)


@dataclass(frozen=True)
class TrainingPlan:
    """What will be trained, fixed before torch is loaded.

    key : hash of the settings that shape the weights, of the bytes of every scan and of the
        code. The same key is the same training: found finished, or gone on with.
    """

    cohort: Cohort
    scans: tuple[Scan, ...]
    split: Split
    key: str
    run_folder: Path

    def of(self, participants: tuple[str, ...]) -> list[Scan]:
        """The scans of these participants, in order."""
        return [scan for scan in self.scans if scan.participant_id in set(participants)]


def plan_training(settings: TrainSettings) -> TrainingPlan:
    """Read and check the cohort, split it, and name the training."""
    for folder in (settings.output, settings.runs):
        require_writable_folder(folder)
    cohort = read_cohort(
        settings.cohort,
        required_sequences=settings.segmenter.required_sequences,
        optional_sequences=settings.segmenter.optional_sequences,
    )
    scans = tuple(scan for scan in cohort.scans if scan.reference_mask is not None)
    if not scans:
        raise CohortError(
            "no scan of this cohort has a reference mask to learn from",
            where=settings.cohort.root,
            remedy="Set cohort.reference_masks to the folder that holds the masks.",
        )
    unusable = unusable_scans(scans, processes=settings.processes or cores())
    if unusable:
        raise ScanError(
            f"{len(unusable)} labelled scan(s) cannot be used; the first: {unusable[0].reason}",
            where=f"{unusable[0].participant_id} {unusable[0].session_id}",
            remedy="Mend or remove the file; training needs every labelled scan to be sound.",
        )
    for exclusion in cohort.exclusions:
        _LOG.info(
            "left out: %s %s: %s",
            exclusion.participant_id,
            exclusion.session_id or "",
            exclusion.reason,
        )
    split = split_participants(
        _strata(cohort, scans),
        validation_fraction=settings.validation_fraction,
        seed=settings.seed,
    )
    key = _training_key(scans, split, cohort, settings)
    return TrainingPlan(cohort, scans, split, key, settings.runs / f"{settings.name}-{key[:12]}")


def _strata(cohort: Cohort, scans: tuple[Scan, ...]) -> pd.DataFrame:
    """Participants with masks; those without any lesion form strata of their own.

    Without lesion-free scans among the validation scans, nothing would hold the operating point
    back from false lesions.
    """
    with_lesions: dict[str, bool] = {}
    for scan in scans:
        assert scan.reference_mask is not None
        found = bool(read_mask(scan.reference_mask).voxels.any())
        with_lesions[scan.participant_id] = with_lesions.get(scan.participant_id, False) or found
    return pd.DataFrame(
        {
            "participant_id": participant_id,
            "diagnosis": cohort.diagnosis_of(participant_id) + ("" if lesions else " lesion-free"),
        }
        for participant_id, lesions in with_lesions.items()
    )


def _training_key(
    scans: tuple[Scan, ...], split: Split, cohort: Cohort, settings: TrainSettings
) -> str:
    shaping = settings.model_dump(
        mode="json",
        exclude={
            "tracking": True,
            "cache": True,
            "runs": True,
            "output": True,
            "processes": True,
            "cohort": {"root", "reference_masks", "truth"},
            "trainer": {"workers"},
        },
    )
    data = [
        [*scan.key, prepared_folder_name(scan, settings.cohort.prepared, settings.segmenter)]
        for scan in scans
    ]
    source = hash_of_source(*_SOURCE)
    sides = {
        side: [[who, cohort.diagnosis_of(who)] for who in participants]
        for side, participants in (("training", split.training), ("validation", split.validation))
    }
    return hash_of_content({"settings": shaping, "data": data, "split": sides, "source": source})
