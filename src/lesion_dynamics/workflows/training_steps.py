"""The part of a training that needs torch: fit, evaluate, choose the operating point, register."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lesion_dynamics.atomic_files import hash_of_file, write_json, write_text
from lesion_dynamics.errors import OutputError
from lesion_dynamics.model_version import (
    MANIFEST_FILE,
    MANIFEST_FORMAT,
    MODEL_CARD_FILE,
    NUMBER_FILE,
    WEIGHTS_FILE,
    Manifest,
    ModelVersion,
)
from lesion_dynamics.records.lineage import code_folder, environment, git_state, machine
from lesion_dynamics.records.spooled_run import SpooledRun, new_spool_id
from lesion_dynamics.report.model_card import model_card
from lesion_dynamics.segmenter.callbacks import History, MetricsListener
from lesion_dynamics.segmenter.datamodule import LesionDataModule
from lesion_dynamics.segmenter.fit import fit, is_first_process, load_weights
from lesion_dynamics.segmenter.module import LesionModule
from lesion_dynamics.segmenter.segmenter import Segmenter, default_device
from lesion_dynamics.segmenter.training_scans import TrainingScan
from lesion_dynamics.segmenter.weights_file import write_weights
from lesion_dynamics.settings.training import TrainSettings
from lesion_dynamics.workflows.initial_version import chain_from
from lesion_dynamics.workflows.training_data import data_record, data_tags, dataset_of
from lesion_dynamics.workflows.training_evaluation import evaluate
from lesion_dynamics.workflows.training_heads import synthetic_source
from lesion_dynamics.workflows.training_plan import TrainingPlan
from lesion_dynamics.workflows.training_version import (
    UNREGISTERED,
    VERSION_FOLDER,
    await_number,
    publish,
)

_LOG = logging.getLogger(__name__)
_STATE_FILE = "run.json"


def train_and_register(
    plan: TrainingPlan,
    prepared: Mapping[tuple[str, str], TrainingScan],
    heads: Sequence[Path],
    settings: TrainSettings,
) -> ModelVersion:
    """Fit (or go on), evaluate on the validation participants, register the version.

    Only the first of the processes that train together records, evaluates and registers.

    Raises
    ------
    SystemExit : in the other processes, once the fit is done: they have nothing left to do.
    """
    if not is_first_process():
        _fit(plan, prepared, heads, settings, listener=lambda _metrics, _step: None)
        raise SystemExit(0)
    tracked = _start_or_resume(plan, settings)

    def listener(metrics: Mapping[str, float], step: int) -> None:
        tracked.log_metrics(metrics, step=step)

    try:
        module, history = _fit(plan, prepared, heads, settings, listener=listener)
        manifest = _evaluate(module, history, plan, settings, tracked)
        version = _register(manifest, plan, settings, tracked)
        tracked.finish()
    except KeyboardInterrupt:
        tracked.interrupt()
        raise
    except BaseException:
        tracked.fail()
        raise
    finally:
        tracked.close()
        try:
            _remember_as_recorded(plan, tracked)
        except OutputError as error:  # what was written at the start names the run as well
            _LOG.warning("%s", error)
    if version.number == UNREGISTERED:
        _LOG.warning(
            "the model version lies in %s and can be used from there; it has no number yet",
            settings.output,
        )
    else:
        _LOG.info("registered %s in %s", version.label, settings.output)
    return version


def _start_or_resume(plan: TrainingPlan, settings: TrainSettings) -> SpooledRun:
    state_file = plan.run_folder / _STATE_FILE
    if state_file.is_file():
        state = json.loads(state_file.read_text(encoding="utf-8"))
        resumed = SpooledRun.resume(
            settings.tracking,
            spool_id=state.get("spool_id", state["key"][:32]),
            run_id=state["mlflow_run_id"],
            name=plan.run_folder.name,
        )
        if resumed is not None:
            _LOG.info("going on with the interrupted training %s", plan.run_folder.name)
            if settings.parent_run is not None:
                resumed.put_under(settings.parent_run)
            if not state.get("described", True):  # killed while it was being described
                _describe(resumed, plan, settings)
            return resumed
    tags = {
        "training_key": plan.key,
        "git_commit": str(git_state(code_folder())["commit"]),
        **data_tags(settings.cohort.root),
    }
    if plan.initial is not None:
        tags["initial_model_version"] = plan.initial.label
    if settings.folds > 1:
        tags["fold"] = _fold_of(settings)
    spool_id = new_spool_id()
    _remember(plan, spool_id, run_id=None, described=False)
    tracked = SpooledRun.start(
        settings.tracking, name=plan.run_folder.name, tags=tags, spool_id=spool_id
    )
    if settings.parent_run is not None:
        tracked.put_under(settings.parent_run)
    _describe(tracked, plan, settings)
    return tracked


def _describe(tracked: SpooledRun, plan: TrainingPlan, settings: TrainSettings) -> None:
    """Log what the training is; twice is as good as once."""
    # The server's address may carry a password.
    configuration = settings.model_dump(mode="json", exclude={"tracking": {"uri"}})
    tracked.log_settings(_flattened(configuration))
    tracked.log_dataset(dataset_of(plan, settings.cohort.root))
    tracked.log_json(configuration, "configuration.json")
    tracked.log_json(_lineage(plan, settings), "lineage.json")
    tracked.log_json(environment(), "environment.json")
    tracked.log_json(
        {"training": plan.split.training, "validation": plan.split.validation}, "split.json"
    )
    _remember_as_recorded(plan, tracked)


def _remember_as_recorded(plan: TrainingPlan, tracked: SpooledRun) -> None:
    described = not tracked.holds_back  # a description in memory may be lost: it is made again
    _remember(plan, tracked.spool_id, run_id=tracked.run_id, described=described)


def _remember(plan: TrainingPlan, spool_id: str, *, run_id: str | None, described: bool) -> None:
    """Which run this training is, for the day when it goes on."""
    state = {
        "spool_id": spool_id,
        "mlflow_run_id": run_id,
        "described": described,
        "key": plan.key,
    }
    write_json(plan.run_folder / _STATE_FILE, state)


def _fit(
    plan: TrainingPlan,
    prepared: Mapping[tuple[str, str], TrainingScan],
    heads: Sequence[Path],
    settings: TrainSettings,
    *,
    listener: MetricsListener,
) -> tuple[LesionModule, History]:
    pl.seed_everything(settings.seed, verbose=False)
    module = LesionModule(settings)
    if plan.initial is not None:
        module.start_from(plan.initial.weights)
    training = [prepared[scan.key] for scan in plan.of(plan.split.training)]
    data = LesionDataModule(
        training,
        [prepared[scan.key] for scan in plan.of(plan.split.validation)],
        settings,
        source=synthetic_source(heads, training, settings) if heads else None,
    )
    fitted = fit(module, data, settings, run_folder=plan.run_folder, listener=listener)
    if is_first_process():
        load_weights(module, fitted.checkpoint)
        if plan.initial is not None and settings.initial_weights_share > 0:
            module.keep_of_the_start(plan.initial.weights, share=settings.initial_weights_share)
    return module, fitted.history


def _evaluate(
    module: LesionModule,
    history: History,
    plan: TrainingPlan,
    settings: TrainSettings,
    tracked: SpooledRun,
) -> Manifest:
    segmenter = Segmenter.of_network(
        module.network,
        settings.segmenter,
        device=default_device() if settings.trainer.accelerator != "cpu" else torch.device("cpu"),
    )
    point, record = evaluate(segmenter, plan, settings, tracked, history)
    weights = plan.run_folder / VERSION_FOLDER / WEIGHTS_FILE
    write_weights(module.network, weights)
    return Manifest(
        format=MANIFEST_FORMAT,
        name=settings.name,
        weights_sha256=hash_of_file(weights),
        segmenter=settings.segmenter,
        operating_point=point,
        validation=record,
        training=_training_record(plan, settings),
    )


def _register(
    manifest: Manifest,
    plan: TrainingPlan,
    settings: TrainSettings,
    tracked: SpooledRun,
) -> ModelVersion:
    folder = plan.run_folder / VERSION_FOLDER
    (folder / NUMBER_FILE).unlink(missing_ok=True)
    write_json(folder / MANIFEST_FILE, manifest.model_dump(mode="json"))
    write_text(folder / MODEL_CARD_FILE, model_card(manifest))
    await_number(folder, name=manifest.name, run=tracked.reference)
    tracked.register(folder, number_to=[folder, settings.output])
    return publish(folder, settings.output)


def _training_record(plan: TrainingPlan, settings: TrainSettings) -> dict[str, Any]:
    return {
        "key": plan.key,
        "configuration": settings.model_dump(
            mode="json",
            # Paths belong to this machine; the cohort's bytes are named by their hashes.
            exclude={
                "runs": True,
                "output": True,
                "tracking": True,
                "cache": True,
                "processes": True,
                "parent_run": True,
                "cohort": {"root", "reference_masks", "truth"},
            },
        ),
        "participants": {
            "training": list(plan.split.training),
            "validation": list(plan.split.validation),
        },
        "initial_model_version": None if plan.initial is None else chain_from(plan.initial),
        **_lineage(plan, settings),
    }


def _lineage(plan: TrainingPlan, settings: TrainSettings) -> dict[str, Any]:
    device = default_device() if settings.trainer.accelerator != "cpu" else torch.device("cpu")
    computing = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    threads = settings.trainer.threads or torch.get_num_threads()
    cohort = settings.cohort
    return {
        "git": git_state(code_folder()),
        "data": dict(data_record(plan.key, cohort.root, cohort.reference_masks)),
        "cohort": plan.cohort.name,
        **({"fold": _fold_of(settings)} if settings.folds > 1 else {}),
        "machine": {**machine(), "device": computing, "threads": threads},
    }


def _fold_of(settings: TrainSettings) -> str:
    """Which fold of a cross-validation validates."""
    return f"{settings.fold} of {settings.folds}"


def _flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flattened(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
