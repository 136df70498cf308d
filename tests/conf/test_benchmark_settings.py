"""Trainings that benchmarks start compose today: they run for minutes, and seldom."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.conftest import composed

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import baseline_twice
import disk_scenarios
import kill_inference
import kill_training

from lesion_dynamics.api import SHIPPED
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.synthesis import HeadSettings
from lesion_dynamics.settings.training import TrainSettings


@pytest.mark.parametrize(
    "overrides",
    [
        baseline_twice.SMALLER,
        kill_training.SETTINGS,
        disk_scenarios.TRAINING,
        disk_scenarios.DRAWN,
        kill_inference.TRAINING,
    ],
)
def test_the_training_composes_and_is_small(overrides: Sequence[str]) -> None:
    chosen = validated(TrainSettings, composed("train", *overrides))
    assert chosen.trainer.steps_per_epoch <= 10


def test_the_small_recipe_leaves_no_part_of_the_baselines_out() -> None:
    small = validated(TrainSettings, composed("train", *baseline_twice.SMALLER))
    large = validated(TrainSettings, composed("train", "experiment=baseline_first"))
    assert small.loss == large.loss
    assert small.augmentation == large.augmentation
    assert small.optimiser.schedule == large.optimiser.schedule
    assert small.segmenter.spacing_mm == large.segmenter.spacing_mm
    assert small.segmenter.network.norm == large.segmenter.network.norm == "batch"
    assert small.synthesis.share == large.synthesis.share == 1
    assert small.trainer.workers == large.trainer.workers == 2
    assert small.synthesis.head == large.synthesis.head
    larger = small.patch.final_size_voxels / small.patch.size_voxels
    assert larger == large.patch.final_size_voxels / large.patch.size_voxels == 1.5


def test_going_on_from_the_baseline_keeps_all_but_the_heads_and_the_length() -> None:
    first = validated(TrainSettings, composed("train", "experiment=baseline_first"))
    second = validated(TrainSettings, composed("train", "experiment=baseline"))
    assert second.initial_model_version == str(first.output)
    assert second.output != first.output
    assert second.name == SHIPPED.partition("@")[0]
    assert second.seed != first.seed
    for name in ("segmenter", "augmentation", "loss", "cohort"):
        assert getattr(second, name) == getattr(first, name)
    assert first.synthesis.head == HeadSettings()
    assert second.synthesis.head.brainstem
    # The learning rate falls over the last 2,000 steps of either; larger patches come at the end.
    for part in (first, second):
        steps = part.trainer.epochs * part.trainer.steps_per_epoch
        assert part.optimiser.decay_fraction * steps == pytest.approx(2000, abs=1)
    assert second.patch.final_fraction * second.trainer.epochs == pytest.approx(4, abs=0.01)
