"""Training: a labelled cohort becomes a registered model version."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from lesion_dynamics.atomic_files import remove_abandoned
from lesion_dynamics.errors import ModelVersionError, OutputError, ScanError
from lesion_dynamics.model_version import MANIFEST_FILE, ModelVersion, load_model_version
from lesion_dynamics.preprocessing.step_cache import open_cache, trim
from lesion_dynamics.preprocessing.steps import Steps
from lesion_dynamics.segmenter.training_scans import TrainingScan, prepare_training_scan
from lesion_dynamics.settings.training import TrainSettings
from lesion_dynamics.waiting_threads import let_waiting_threads_sleep
from lesion_dynamics.workflows.processes import in_processes
from lesion_dynamics.workflows.training_heads import draw_heads
from lesion_dynamics.workflows.training_plan import TrainingPlan, plan_training
from lesion_dynamics.workflows.training_version import VERSION_FOLDER, publish, registered_run

_LOG = logging.getLogger(__name__)


def run(settings: TrainSettings) -> ModelVersion:
    """Train, validate, choose the operating point, register.

    The same settings on the same data are the same training: a finished one is returned, an
    interrupted one goes on.

    Raises
    ------
    UserError : before anything heavy is loaded, for whatever a user can mend.
    """
    plan = plan_training(settings)
    remove_abandoned(settings.runs)  # of trainings that were killed
    finished = _finished(plan, settings)
    if finished is not None:
        _LOG.info("%s is already trained from this data and these settings.", finished.label)
        return finished
    let_waiting_threads_sleep()
    prepared = _prepare(plan, settings)
    heads = draw_heads(plan, settings)
    # torch is loaded only now, when all that a user can get wrong has been looked at.
    from lesion_dynamics.workflows.training_steps import train_and_register

    return train_and_register(plan, prepared, heads, settings)


def _finished(plan: TrainingPlan, settings: TrainSettings) -> ModelVersion | None:
    """The version of this very training, in the run's own folder or in the output folder."""
    kept = plan.run_folder / VERSION_FOLDER
    folders = [one for one in (kept, settings.output) if _version_in(one, plan) is not None]
    if not folders:
        return None
    from lesion_dynamics.records.cut_off import finish_if_cut_off
    from lesion_dynamics.records.registry import is_registered
    from lesion_dynamics.records.spool.delivery import SPOOLED
    from lesion_dynamics.records.store import open_store
    from lesion_dynamics.records.training_run import PARENT_TAG, TrainingRun

    try:
        store = open_store(settings.tracking)  # delivers what waits, the number included
    except OutputError as error:
        if settings.tracking.uri is None:
            raise
        _LOG.warning("%s", error)
        return _at(settings.output, folders[0])
    for folder in folders:
        version = load_model_version(folder)
        if not is_registered(store, version):
            continue
        run_id = registered_run(folder)
        parent = settings.parent_run
        if parent is not None and run_id is not None and not parent.startswith(SPOOLED):
            # Sweeps, whose runs are spooled, list what they find themselves.
            TrainingRun(store, run_id).tag(PARENT_TAG, parent)
        published = _at(settings.output, folder)
        if run_id is not None:
            finish_if_cut_off(store, settings.tracking, run_id)
        return published
    return None


def _at(output: Path, folder: Path) -> ModelVersion:
    return load_model_version(output) if folder == output else publish(folder, output)


def _version_in(folder: Path, plan: TrainingPlan) -> ModelVersion | None:
    if not (folder / MANIFEST_FILE).is_file():
        return None
    try:
        version = load_model_version(folder)
    except ModelVersionError:
        return None  # half of an older training; it is written anew
    return version if version.manifest.training.get("key") == plan.key else None


def _prepare(plan: TrainingPlan, settings: TrainSettings) -> dict[tuple[str, str], TrainingScan]:
    prepare = partial(
        prepare_training_scan,
        prepared=settings.cohort.prepared,
        settings=settings.segmenter,
        store=settings.runs / "prepared_scans",
        steps=Steps(open_cache(settings.cache)),
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
    trim(settings.cache)
    return ready
