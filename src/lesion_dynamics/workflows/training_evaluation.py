"""After the fit: the trained network on the validation scans, as numbers and as pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.errors import OutputError
from lesion_dynamics.imaging.reading import read_image
from lesion_dynamics.lesions.operating_point import lesion_mask
from lesion_dynamics.lesions.operating_point_choice import ValidationScan, choose_operating_point
from lesion_dynamics.preprocessing.step_cache import open_cache
from lesion_dynamics.preprocessing.steps import Steps
from lesion_dynamics.process_folder import process_folder
from lesion_dynamics.records.spooled_run import SpooledRun
from lesion_dynamics.report.validation_pictures import (
    Example,
    draw_examples,
    draw_learning_curves,
    draw_reliability,
)
from lesion_dynamics.segmenter.evaluation import (
    probabilities,
    validation_record,
    worst_median_best,
)
from lesion_dynamics.segmenter.segmenter import Segmenter
from lesion_dynamics.settings.operating_point import LESION_CONNECTIVITY, OperatingPoint
from lesion_dynamics.settings.training import TrainSettings
from lesion_dynamics.workflows.training_plan import TrainingPlan

_LOG = logging.getLogger(__name__)
_PICTURES = "pictures"


def evaluate(
    segmenter: Segmenter,
    plan: TrainingPlan,
    settings: TrainSettings,
    tracked: SpooledRun,
    history: Sequence[Mapping[str, float]],
) -> tuple[OperatingPoint, dict[str, Any]]:
    """Choose the operating point, measure at it, and record both; each participant once.

    Returns
    -------
    The operating point, and the record of `segmenter.evaluation.validation_record`.
    """
    with process_folder(plan.run_folder, "validation") as folder:
        return _evaluated(segmenter, plan, settings, tracked, history, folder=folder)


def _evaluated(
    segmenter: Segmenter,
    plan: TrainingPlan,
    settings: TrainSettings,
    tracked: SpooledRun,
    history: Sequence[Mapping[str, float]],
    *,
    folder: Path,
) -> tuple[OperatingPoint, dict[str, Any]]:
    scans = plan.of(plan.split.validation)
    steps = Steps(open_cache(settings.cache))
    evaluated = probabilities(
        segmenter, scans, settings.cohort.prepared, folder=folder, steps=steps
    )
    point, candidates = choose_operating_point(evaluated, connectivity=LESION_CONNECTIVITY)
    diagnoses = [plan.cohort.diagnosis_of(scan.participant_id) for scan in scans]
    record = validation_record(scans, diagnoses, evaluated, point)
    step = settings.trainer.epochs * settings.trainer.steps_per_epoch
    tracked.log_metrics(_metrics(record), step=step)
    tracked.log_json(record, "validation.json")
    tracked.log_json([asdict(candidate) for candidate in candidates], "operating_points.json")
    pictures = plan.run_folder / _PICTURES
    examples = _examples(scans, evaluated, record, point)
    log_pictures(
        tracked,
        lambda: draw_learning_curves(pictures, history),
        lambda: draw_reliability(pictures, record["reliability"]),
        lambda: draw_examples(pictures, examples) if examples else (),
    )
    return point, record


def log_pictures(tracked: SpooledRun, *drawings: Callable[[], tuple[Path, ...]]) -> None:
    """Draw and record; a picture that cannot be written is no reason to lose a training."""
    for draw in drawings:
        try:
            drawn = draw()
        except OutputError as error:
            _LOG.warning("a picture is left out: %s", error)
            continue
        for path in drawn:
            tracked.log_file(path, _PICTURES)


def _metrics(record: Mapping[str, Any]) -> dict[str, float]:
    """``final_<metric>`` over all scans, and ``final_<diagnosis>_<metric>``."""
    metrics = {f"final_{name}": float(value) for name, value in record["all"].items()}
    for diagnosis, summary in record["by_diagnosis"].items():
        metrics |= {f"final_{diagnosis}_{name}": float(v) for name, v in summary.items()}
    return metrics


def _examples(
    scans: Sequence[Scan],
    evaluated: Sequence[ValidationScan],
    record: Mapping[str, Any],
    point: OperatingPoint,
) -> list[Example]:
    examples = []
    for name, place in worst_median_best(record).items():
        scan, found = scans[place], evaluated[place]
        predicted = lesion_mask(
            found.probability, voxel_volume_mm3=found.voxel_volume_mm3, operating_point=point
        )
        dice = record["each"][place]["dice"]
        title = f"{name}: {scan.participant_id} {scan.session_id}, Dice {dice:.2f}"
        flair = read_image(scan.images["FLAIR"])
        examples.append(Example(title, flair, found.reference, predicted))
    return examples
