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

from lesion_dynamics.settings.strict import validated
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
    large = validated(TrainSettings, composed("train", "experiment=baseline"))
    assert small.loss == large.loss
    assert small.augmentation == large.augmentation
    assert small.optimiser.schedule == large.optimiser.schedule
    assert small.segmenter.spacing_mm == large.segmenter.spacing_mm
    assert small.segmenter.network.norm == large.segmenter.network.norm == "batch"
    assert small.synthesis.share == large.synthesis.share == 1
    assert small.trainer.workers == large.trainer.workers == 2
    larger = small.patch.final_size_voxels / small.patch.size_voxels
    assert larger == large.patch.final_size_voxels / large.patch.size_voxels == 1.5
