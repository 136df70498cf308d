"""What will be trained, fixed and checked before torch is loaded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lesion_dynamics.atomic_files import (
    hash_of_content,
    hash_of_file,
    require_writable_folder,
)
from lesion_dynamics.cohort.cohort import Cohort, Scan
from lesion_dynamics.cohort.pixel_check import unusable_scans
from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.cohort.splits import (
    Split,
    extended_split,
    fold_of_participants,
    split_participants,
)
from lesion_dynamics.errors import CohortError, ModelVersionError, ScanError
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.preprocessing.gradient_distortion import require_usable_coefficients
from lesion_dynamics.segmenter.training_scans import prepared_folder_name
from lesion_dynamics.settings.training import TrainSettings
from lesion_dynamics.source_hash import hash_of_source
from lesion_dynamics.synthesis.lesion_shapes import shape_files
from lesion_dynamics.synthesis.limits import SYNTHESIS_SOURCE, require_synthesisable
from lesion_dynamics.workflows.initial_version import initial_version, require_unseen
from lesion_dynamics.workflows.processes import cores

_LOG = logging.getLogger(__name__)
_SOURCE = (
    "imaging",
    "lesions",
    "preprocessing",
    "segmenter",
    "cohort/splits",
    "settings/augmentation",
    "settings/losses",
    "settings/networks",
    "settings/preprocessing",
    "settings/segmenter",
    "settings/training",
)


@dataclass(frozen=True)
class TrainingPlan:
    """What will be trained, fixed before torch is loaded.

    key : hash of the settings that shape the weights, of the bytes of every scan and of the
        code. The same key is the same training: found finished, or gone on with.
    initial : the model version whose weights it starts from, fixed to its number.
    shapes : masks of real lesions that the synthesis takes shapes from.
    """

    cohort: Cohort
    scans: tuple[Scan, ...]
    split: Split
    key: str
    run_folder: Path
    initial: ModelVersion | None = None
    shapes: tuple[Path, ...] = ()

    def of(self, participants: tuple[str, ...]) -> list[Scan]:
        """The scans of these participants, in order."""
        return [scan for scan in self.scans if scan.participant_id in set(participants)]


def plan_training(settings: TrainSettings) -> TrainingPlan:
    """Read and check the cohort, split it, and name the training."""
    for folder in (settings.output, settings.runs):
        require_writable_folder(folder)
    shapes: tuple[Path, ...] = ()
    if settings.synthesis.share > 0:
        require_synthesisable(settings)
        shapes = shape_files(settings.synthesis)
    cohort = read_cohort(
        settings.cohort,
        required_sequences=settings.segmenter.required_sequences,
        optional_sequences=settings.segmenter.optional_sequences,
    )
    require_usable_coefficients(cohort)
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
            f"{len(unusable)} labelled scan(s) cannot be used; the first: {unusable[0].explained}",
            where=unusable[0].who,
            remedy="Mend or remove the file; training needs every labelled scan to be sound.",
        )
    for exclusion in cohort.exclusions:
        _LOG.info("left out: %s", exclusion.line)
    initial = initial_version(settings)
    strata = _strata(cohort, scans)
    split = _split(strata, settings)
    _require_lesions_to_validate(split, strata, settings)
    require_unseen(split, initial, settings)
    key = _training_key(scans, split, cohort, settings, initial, shapes)
    run_folder = settings.runs / f"{settings.name}-{key[:12]}"
    return TrainingPlan(cohort, scans, split, key, run_folder, initial, shapes)


def _split(strata: pd.DataFrame, settings: TrainSettings) -> Split:
    seed = settings.split_seed_used
    if settings.split_from is not None:
        return extended_split(
            _split_of(settings.split_from, settings),
            strata,
            validation_fraction=settings.validation_fraction,
            seed=seed,
        )
    if settings.synthesis.share == 1:  # nothing is learned from labelled scans
        return Split((), tuple(sorted(strata["participant_id"])))
    if settings.folds > 1:
        return fold_of_participants(strata, folds=settings.folds, fold=settings.fold, seed=seed)
    return split_participants(strata, validation_fraction=settings.validation_fraction, seed=seed)


def _require_lesions_to_validate(
    split: Split, strata: pd.DataFrame, settings: TrainSettings
) -> None:
    """Nothing would choose the operating point; told before the training, for all folds at once.

    Raises
    ------
    CohortError : the validation participants of this training, or of another fold, have no lesion.
    """
    with_lesions = set(strata.loc[strata["lesions"], "participant_id"])
    sides = {settings.fold: split.validation}
    if settings.folds > 1:
        sides = {
            fold: fold_of_participants(
                strata, folds=settings.folds, fold=fold, seed=settings.split_seed_used
            ).validation
            for fold in range(1, settings.folds + 1)
        }
    for fold, validation in sides.items():
        if with_lesions.isdisjoint(validation):
            several = settings.folds > 1
            raise CohortError(
                f"none of the {len(validation)} validation participant(s) has a reference lesion",
                where=f"fold {fold} of {settings.folds}" if several else "validation participants",
                # Lesion-free participants are dealt by themselves: no other seed would help.
                remedy="Ask for fewer folds."
                if several
                else "Add participants with lesions: two of one diagnosis, for one on each side.",
            )


def _split_of(reference: str, settings: TrainSettings) -> Split:
    """The split by which a model version was trained."""
    from lesion_dynamics.records.registry import resolve

    version = resolve(reference, settings.tracking)
    sides = version.manifest.training.get("participants")
    if not isinstance(sides, Mapping):
        raise ModelVersionError(
            "its manifest does not say who trained and who validated",
            where=f"split_from={reference}",
            remedy="Name a model version that train.py made, or leave split_from out.",
        )
    return Split(tuple(sides["training"]), tuple(sides["validation"]))


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
            "lesions": lesions,
        }
        for participant_id, lesions in with_lesions.items()
    )


def _training_key(
    scans: tuple[Scan, ...],
    split: Split,
    cohort: Cohort,
    settings: TrainSettings,
    initial: ModelVersion | None,
    shapes: tuple[Path, ...],
) -> str:
    shaping = settings.model_dump(
        mode="json",
        exclude={
            "tracking": True,
            "cache": True,
            "runs": True,
            "output": True,
            "processes": True,
            "parent_run": True,
            # The split and the weights themselves are in the key.
            "split_seed": True,
            "split_from": True,
            "validation_fraction": True,
            "folds": True,
            "fold": True,
            "initial_model_version": True,
            "cohort": {"root", "reference_masks", "truth"},
            "trainer": {"workers", "wait_for_disk_seconds"},
            "synthesis": {"shapes", "left_out"} if settings.synthesis.share else True,
        },
    )
    drawn: list[str] = []
    if settings.synthesis.share:
        drawn = [hash_of_source(*SYNTHESIS_SOURCE), *map(hash_of_file, shapes)]
    data = [
        [*scan.key, prepared_folder_name(scan, settings.cohort.prepared, settings.segmenter)]
        for scan in scans
    ]
    source = hash_of_source(*_SOURCE)
    sides = {
        side: [[who, cohort.diagnosis_of(who)] for who in participants]
        for side, participants in (("training", split.training), ("validation", split.validation))
    }
    return hash_of_content(
        {
            "settings": shaping,
            "data": data,
            "split": sides,
            "source": source,
            "initial": None if initial is None else initial.manifest.weights_sha256,
            "drawn": drawn,
        }
    )
