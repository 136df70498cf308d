"""A small sound cohort, a model version for it, and how an inference over it is driven.

Three scans of two participants; the corpus damages ``sub-a01 ses-02`` and looks at the others.
The network is not trained: any fixed function of the voxels shows whether the good scans' numbers
stay what they were.
"""

from __future__ import annotations

import copy
import json
import logging
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from tests.conftest import SMALL_TRAINING, composed
from tests.in_this_process import in_this_process

from lesion_dynamics.atomic_files import hash_of_file, write_json
from lesion_dynamics.errors import UserError
from lesion_dynamics.longitudinal.measurements import read_measurements
from lesion_dynamics.model_version import (
    MANIFEST_FILE,
    MANIFEST_FORMAT,
    NUMBER_FILE,
    WEIGHTS_FILE,
    Manifest,
)
from lesion_dynamics.segmenter.networks import build_network
from lesion_dynamics.segmenter.weights_file import write_weights
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.settings.operating_point import LESION_CONNECTIVITY, OperatingPoint
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.training import TrainSettings
from lesion_dynamics.workflows import inference, inference_scans

SHAPE = (26, 30, 24)
AFFINE = np.array([[-5.0, 0, 0, 62], [0, 5.0, 0, -70], [0, 0, 5.0, -58], [0, 0, 0, 1]])
SCANS = (("sub-a01", "ses-01"), ("sub-a01", "ses-02"), ("sub-b01", "ses-01"))
DAMAGED = ("sub-a01", "ses-02")
NAME = "lesion-segmenter-v7"
_VALUES = {
    "FLAIR": 400.0,
    "T1w": 700.0,
}


def voxels_of(number: int, sequence: str) -> np.ndarray:
    """(x, y, z) int16: an ellipsoid of 0.35 litres with texture and bright spots, 0 outside."""
    random = np.random.default_rng([number, len(sequence)])
    grid = np.indices(SHAPE).reshape(3, -1).T - (np.array(SHAPE) - 1) / 2
    inside = ((grid * 5 / (42, 50, 40)) ** 2).sum(axis=1).reshape(SHAPE) < 1
    values = random.normal(_VALUES[sequence], 40, SHAPE)
    values[random.random(SHAPE) > 0.97] *= 1.6
    return np.where(inside, values, 0).astype(np.int16)


def image(voxels: np.ndarray, affine: np.ndarray = AFFINE) -> nib.Nifti1Image:
    """As a scanner's converter writes it: both forms set, millimetres, no scaling."""
    made = nib.Nifti1Image(voxels, affine)
    made.set_sform(affine, 1)
    made.set_qform(affine, 1)
    made.header.set_xyzt_units("mm", "sec")
    return made


def image_path(root: Path, key: tuple[str, str], sequence: str) -> Path:
    return root / key[0] / key[1] / "anat" / f"{key[0]}_{key[1]}_{sequence}.nii.gz"


def write_table(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line.replace(" ", "\t") + "\n" for line in lines), encoding="utf-8")


def write_cohort(root: Path) -> None:
    """The sound cohort in BIDS."""
    for number, key in enumerate(SCANS):
        for sequence in _VALUES:
            path = image_path(root, key, sequence)
            path.parent.mkdir(parents=True, exist_ok=True)
            image(voxels_of(number, sequence)).to_filename(path)
    write_table(
        root / "participants.tsv",
        "participant_id diagnosis age sex scanner",
        "sub-a01 MS 34 F siteA",
        "sub-b01 NMOSD 51 F siteA",
    )
    sessions = "session_id days_from_baseline"
    write_table(root / "sub-a01/sub-a01_sessions.tsv", sessions, "ses-01 0", "ses-02 365")
    write_table(root / "sub-b01/sub-b01_sessions.tsv", sessions, "ses-01 0")
    write_table(
        root / "phenotype/attacks.tsv",
        "participant_id attack_id days_from_baseline",
        "sub-a01 1 -300",
    )


def write_model_version(folder: Path) -> None:
    """An untrained network that answers something else for every voxel."""
    settings = validated(
        TrainSettings,
        composed("train", *SMALL_TRAINING, "segmenter.spacing_mm=4", "cohort.root=none"),
    ).segmenter
    torch.manual_seed(0)
    network = build_network(settings.network, input_channels=len(settings.sequences))
    with torch.no_grad():  # untrained, it answers nearly the same everywhere
        network.head.weight.mul_(40.0)
        network.head.bias.fill_(-0.2)
    folder.mkdir(parents=True)
    write_weights(network, folder / WEIGHTS_FILE)
    manifest = Manifest(
        format=MANIFEST_FORMAT,
        name="lesion-segmenter",
        weights_sha256=hash_of_file(folder / WEIGHTS_FILE),
        segmenter=settings,
        operating_point=OperatingPoint(
            probability_threshold=0.5,
            minimum_lesion_volume_mm3=0.0,
            connectivity=LESION_CONNECTIVITY,
        ),
        validation={},
        training={},
    )
    write_json(folder / MANIFEST_FILE, manifest.model_dump(mode="json"))
    write_json(folder / NUMBER_FILE, {"name": "lesion-segmenter", "number": 7})


@dataclass
class Outcome:
    """What came of an inference: the table, or the refusal; and what was said."""

    out: Path
    refusal: UserError | None = None
    result: inference.InferenceResult | None = None
    lines: list[logging.LogRecord] = field(default_factory=list)

    @property
    def table(self) -> pd.DataFrame:
        assert self.result is not None
        table = read_measurements(self.result.measurements)
        return table.set_index(["participant_id", "session_id"])

    @property
    def left_out(self) -> list[dict[str, str]]:
        assert self.result is not None
        found: list[dict[str, str]] = json.loads(
            (self.result.folder / "exclusions.json").read_text(encoding="utf-8")
        )
        return found


@lru_cache
def _composed(cohort: str) -> dict[str, Any]:
    return composed("infer", f"cohort={cohort}", "cohort.root=none", "executor.processes=1")


def settings_for(place: Path, *, cohort: str = "study", **of_cohort: object) -> InferSettings:
    """Settings of an inference over ``place/cohort`` with the model version in ``place/model``."""
    values = copy.deepcopy(_composed(cohort))
    prepared = {"skull_stripped": True, "sequences_aligned": True, "bias_corrected": True}
    values["cohort"] |= {"root": str(place / "cohort"), "prepared": prepared, **of_cohort}
    values["cohort"]["session_alignment"] = "none"
    values["model_version"] = str(place / "model")
    values["output"] = str(place / "out")
    values["tracking"]["folder"] = str(place / "out/tracking")
    values["cache"]["folder"] = str(place / "out/cache")
    return validated(InferSettings, values)


def infer(settings: InferSettings, monkeypatch: Any, caplog: Any) -> Outcome:
    """The real inference, except that its worker works in this process."""
    monkeypatch.setattr(inference_scans, "spread", in_this_process)
    outcome = Outcome(settings.output)
    with caplog.at_level(logging.INFO):
        try:
            outcome.result = inference.run(settings)
        except UserError as error:
            outcome.refusal = error
    outcome.lines = list(caplog.records)
    return outcome
