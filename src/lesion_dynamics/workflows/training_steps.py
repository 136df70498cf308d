"""The part of a training that needs torch: fit, evaluate, choose the operating point, register."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lesion_dynamics.atomic_files import hash_of_file, write_json
from lesion_dynamics.lesions.operating_point_choice import choose_operating_point
from lesion_dynamics.model_version import (
    MANIFEST_FILE,
    MANIFEST_FORMAT,
    NUMBER_FILE,
    WEIGHTS_FILE,
    Manifest,
    ModelVersion,
)
from lesion_dynamics.preprocessing.step_cache import open_cache
from lesion_dynamics.preprocessing.steps import Steps
from lesion_dynamics.records.lineage import data_state, environment, git_state
from lesion_dynamics.records.registry import register
from lesion_dynamics.records.store import Store, open_store
from lesion_dynamics.records.training_run import TrainingRun
from lesion_dynamics.segmenter.datamodule import LesionDataModule
from lesion_dynamics.segmenter.evaluation import probabilities, validation_record
from lesion_dynamics.segmenter.fit import fit, load_weights, write_weights
from lesion_dynamics.segmenter.module import LesionModule
from lesion_dynamics.segmenter.segmenter import Segmenter, default_device
from lesion_dynamics.segmenter.training_scans import TrainingScan
from lesion_dynamics.settings.operating_point import LESION_CONNECTIVITY
from lesion_dynamics.settings.training import TrainSettings
from lesion_dynamics.workflows.training_plan import TrainingPlan

_LOG = logging.getLogger(__name__)
_STATE_FILE = "run.json"


def train_and_register(
    plan: TrainingPlan,
    prepared: Mapping[tuple[str, str], TrainingScan],
    settings: TrainSettings,
) -> ModelVersion:
    """Fit (or go on), evaluate on the validation participants, register the version."""
    store = open_store(settings.tracking)
    tracked = _start_or_resume(store, plan, settings)
    try:
        module = _fit(plan, prepared, settings, tracked)
        manifest = _evaluate(module, plan, settings, tracked)
        version = _register(module, manifest, settings, store, tracked)
    except KeyboardInterrupt:
        raise
    except BaseException:
        tracked.fail()
        raise
    tracked.finish()
    _LOG.info("registered %s in %s", version.label, settings.output)
    return version


def _start_or_resume(store: Store, plan: TrainingPlan, settings: TrainSettings) -> TrainingRun:
    state_file = plan.run_folder / _STATE_FILE
    if state_file.is_file():
        run_id = json.loads(state_file.read_text(encoding="utf-8"))["mlflow_run_id"]
        resumed = TrainingRun.resume(store, run_id)
        if resumed is not None:
            _LOG.info("going on with the interrupted training %s", plan.run_folder.name)
            return resumed
    lineage = _lineage(plan)
    tags = {"training_key": plan.key, "git_commit": str(lineage["git"]["commit"])}
    tracked = TrainingRun.start(store, name=plan.run_folder.name, tags=tags)
    # The server's address may carry a password.
    configuration = settings.model_dump(mode="json", exclude={"tracking": {"uri"}})
    tracked.log_settings(_flattened(configuration))
    tracked.log_json(configuration, "configuration.json")
    tracked.log_json(lineage, "lineage.json")
    tracked.log_json(environment(), "environment.json")
    tracked.log_json(
        {"training": plan.split.training, "validation": plan.split.validation}, "split.json"
    )
    write_json(state_file, {"mlflow_run_id": tracked.run_id, "key": plan.key})
    return tracked


def _fit(
    plan: TrainingPlan,
    prepared: Mapping[tuple[str, str], TrainingScan],
    settings: TrainSettings,
    tracked: TrainingRun,
) -> LesionModule:
    pl.seed_everything(settings.seed, verbose=False)
    module = LesionModule(settings)
    data = LesionDataModule(
        [prepared[scan.key] for scan in plan.of(plan.split.training)],
        [prepared[scan.key] for scan in plan.of(plan.split.validation)],
        settings,
    )

    def listener(metrics: Mapping[str, float], step: int) -> None:
        tracked.log_metrics(metrics, step=step)

    best = fit(module, data, settings, run_folder=plan.run_folder, listener=listener)
    load_weights(module, best)
    return module


def _evaluate(
    module: LesionModule, plan: TrainingPlan, settings: TrainSettings, tracked: TrainingRun
) -> Manifest:
    scans = plan.of(plan.split.validation)
    segmenter = Segmenter(
        module.network,
        settings.segmenter,
        device=default_device() if settings.trainer.accelerator != "cpu" else torch.device("cpu"),
    )
    evaluated = probabilities(
        segmenter, scans, settings.cohort.prepared, steps=Steps(open_cache(settings.cache))
    )
    point, candidates = choose_operating_point(evaluated, connectivity=LESION_CONNECTIVITY)
    diagnoses = [plan.cohort.diagnosis_of(scan.participant_id) for scan in scans]
    record = validation_record(scans, diagnoses, evaluated, point)
    weights = plan.run_folder / WEIGHTS_FILE
    write_weights(module, weights)
    summary = {f"final_{k}": float(v) for k, v in record["all"].items() if v is not None}
    tracked.log_metrics(summary, step=settings.trainer.epochs * settings.trainer.steps_per_epoch)
    tracked.log_json(record, "validation.json")
    tracked.log_json([asdict(candidate) for candidate in candidates], "operating_points.json")
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
    module: LesionModule,
    manifest: Manifest,
    settings: TrainSettings,
    store: Store,
    tracked: TrainingRun,
) -> ModelVersion:
    output = settings.output
    # The number goes first and comes back last: a folder without one is never taken for whole.
    (output / NUMBER_FILE).unlink(missing_ok=True)
    write_weights(module, output / WEIGHTS_FILE)
    write_json(output / MANIFEST_FILE, manifest.model_dump(mode="json"))
    return register(store, run_id=tracked.run_id, folder=output)


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
                "cohort": {"root", "reference_masks", "truth"},
            },
        ),
        "participants": {
            "training": list(plan.split.training),
            "validation": list(plan.split.validation),
        },
        **_lineage(plan),
    }


def _lineage(plan: TrainingPlan) -> dict[str, Any]:
    root = Path.cwd()
    return {"git": git_state(root), "data": data_state(root), "cohort": plan.cohort.name}


def _flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flattened(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
