"""Training: a labelled cohort becomes a registered model version."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lesion_dynamics.atomic_files import hash_of_content, require_writable_folder
from lesion_dynamics.cohort.cohort import Cohort, Scan
from lesion_dynamics.cohort.pixel_check import unusable_scans
from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.cohort.splits import Split, split_participants
from lesion_dynamics.errors import CohortError, ModelVersionError, ScanError
from lesion_dynamics.model_version import MANIFEST_FILE, ModelVersion, load_model_version
from lesion_dynamics.segmenter.training_scans import (
    TrainingScan,
    prepare_training_scan,
    prepared_folder_name,
)
from lesion_dynamics.settings.training import TrainSettings
from lesion_dynamics.source_hash import hash_of_source
from lesion_dynamics.workflows.processes import cores, in_processes

_LOG = logging.getLogger(__name__)
_SOURCE = ("imaging", "lesions", "preprocessing", "segmenter", "cohort/splits")


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


def run(settings: TrainSettings) -> ModelVersion:
    """Train, validate, choose the operating point, register.

    The same settings on the same data are the same training: a finished one is returned, an
    interrupted one goes on.

    Raises
    ------
    UserError : before anything heavy is loaded, for whatever a user can mend.
    """
    plan = plan_training(settings)
    finished = _finished(plan, settings)
    if finished is not None:
        _LOG.info("%s is already trained from this data and these settings.", finished.label)
        return finished
    prepared = _prepare(plan, settings)
    # torch is loaded only now, when all that a user can get wrong has been looked at.
    from lesion_dynamics.workflows.training_steps import train_and_register

    return train_and_register(plan, prepared, settings)


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
    with_masks = {scan.participant_id for scan in scans}
    participants = cohort.tables.participants
    split = split_participants(
        participants[participants["participant_id"].isin(with_masks)],
        validation_fraction=settings.validation_fraction,
        seed=settings.seed,
    )
    key = _training_key(scans, settings)
    return TrainingPlan(cohort, scans, split, key, settings.runs / f"{settings.name}-{key[:12]}")


def _training_key(scans: tuple[Scan, ...], settings: TrainSettings) -> str:
    shaping = settings.model_dump(
        mode="json",
        exclude={
            "tracking": True,
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
    return hash_of_content({"settings": shaping, "data": data, "source": source})


def _finished(plan: TrainingPlan, settings: TrainSettings) -> ModelVersion | None:
    if not (settings.output / MANIFEST_FILE).is_file():
        return None
    try:
        version = load_model_version(settings.output)
    except ModelVersionError:
        return None  # half of an older training; it is written anew
    if version.manifest.training.get("key") != plan.key:
        return None
    from lesion_dynamics.records.registry import is_registered
    from lesion_dynamics.records.store import open_store

    return version if is_registered(open_store(settings.tracking), version) else None


def _prepare(plan: TrainingPlan, settings: TrainSettings) -> dict[tuple[str, str], TrainingScan]:
    prepare = partial(
        prepare_training_scan,
        prepared=settings.cohort.prepared,
        settings=settings.segmenter,
        store=settings.runs / "prepared_scans",
    )
    ready: dict[tuple[str, str], TrainingScan] = {}
    for done in in_processes(
        prepare, plan.scans, processes=settings.processes, description="preparing scans"
    ):
        if done.result is None:
            raise ScanError(
                f"this scan could not be prepared: {done.failure}",
                where=" ".join(done.item.key),
                remedy="Mend or remove it and start again: the scans prepared so far are kept.",
            )
        ready[done.item.key] = done.result
    return ready
