"""A model version with a network of a few hundred weights, made in no time, trained on nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from tests.conftest import SMALL_TRAINING, composed

from lesion_dynamics.atomic_files import hash_of_file, write_json, write_text
from lesion_dynamics.model_version import (
    MANIFEST_FILE,
    MANIFEST_FORMAT,
    MODEL_CARD_FILE,
    NUMBER_FILE,
    WEIGHTS_FILE,
    Manifest,
    ModelVersion,
    load_model_version,
)
from lesion_dynamics.report.model_card import model_card
from lesion_dynamics.segmenter.networks import build_network
from lesion_dynamics.settings.operating_point import OperatingPoint
from lesion_dynamics.settings.segmenter import SegmenterSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.training import TrainSettings

TRAINING: Mapping[str, Any] = {
    "key": "k" * 64,
    "cohort": "training",
    "data": {"dvc_md5": "d" * 32 + ".dir", "path": "data"},
    "git": {"commit": "c" * 40, "modified": False},
    "machine": {"system": "Linux", "torch": "2.0.0"},
    "initial_model_version": None,
    "configuration": {"seed": 7, "trainer": {"epochs": 2, "steps_per_epoch": 3}},
    "participants": {"training": ["sub-1", "sub-2"], "validation": ["sub-3", "sub-4"]},
}


@cache
def small_segmenter() -> SegmenterSettings:
    return validated(TrainSettings, composed("train", *SMALL_TRAINING)).segmenter


def scan_record(participant: str, **values: Any) -> dict[str, Any]:
    """A line of ``validation["each"]``."""
    own = {
        "participant_id": participant,
        "session_id": "ses-01",
        "dice": 0.6,
        "lesion_f1": 0.5,
        "reference_volume_mm3": 1000.0,
        "volume_difference_mm3": -100.0,
    }
    return {**own, **values}


def make_version(
    folder: Path,
    *,
    name: str = "tiny",
    number: int = 1,
    seed: int = 1,
    each: Sequence[Mapping[str, Any]] = (),
    training: Mapping[str, Any] = TRAINING,
) -> ModelVersion:
    """Write weights, manifest, card and number into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    network = build_network(small_segmenter().network, input_channels=2)
    named = [*network.named_parameters(), *network.named_buffers()]
    tensors = {key: value.detach().contiguous() for key, value in named}
    (folder / WEIGHTS_FILE).write_bytes(safetensors.torch.save(tensors))
    manifest = Manifest(
        format=MANIFEST_FORMAT,
        name=name,
        weights_sha256=hash_of_file(folder / WEIGHTS_FILE),
        segmenter=small_segmenter(),
        operating_point=OperatingPoint(
            probability_threshold=0.5, minimum_lesion_volume_mm3=14.0, connectivity=26
        ),
        validation={
            "scans": len(each),
            "each": [dict(one) for one in each],
            "all": {"scan_count": 4, "mean_dice": 0.61, "mean_volume_difference_mm3": -12.4},
            "by_diagnosis": {
                "MS": {"scan_count": 2, "mean_dice": 0.66, "mean_volume_difference_mm3": -31.6},
                "NMOSD": {"scan_count": 2, "mean_dice": 0.56},
            },
        },
        training=dict(training),
    )
    write_json(folder / MANIFEST_FILE, manifest.model_dump(mode="json"))
    write_text(folder / MODEL_CARD_FILE, model_card(manifest))
    write_json(folder / NUMBER_FILE, {"name": name, "number": number, "run_id": "r" * 32})
    return load_model_version(folder)
