"""A training of four steps on scans made by hand, without the workflow around it."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl
import torch
from tests.conftest import SMALL_TRAINING, composed

from lesion_dynamics.segmenter.callbacks import MetricsListener
from lesion_dynamics.segmenter.datamodule import LesionDataModule
from lesion_dynamics.segmenter.fit import Fitted, fit, load_weights
from lesion_dynamics.segmenter.module import LesionModule
from lesion_dynamics.segmenter.training_scans import TrainingScan
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.training import TrainSettings


def settings(*overrides: str) -> TrainSettings:
    """Two epochs of two steps, validated after each."""
    return validated(
        TrainSettings,
        composed("train", *SMALL_TRAINING, "trainer.steps_per_epoch=2", *overrides),
    )


def trained(
    scans: list[TrainingScan],
    folder: Path,
    *overrides: str,
    listener: MetricsListener = lambda *_: None,
) -> tuple[dict[str, torch.Tensor], Fitted]:
    """Weights that would be registered, after training on all scans but the first."""
    chosen = settings(*overrides)
    pl.seed_everything(chosen.seed, verbose=False)
    module = LesionModule(chosen)
    data = LesionDataModule(scans[1:], scans[:1], chosen)
    fitted = fit(module, data, chosen, run_folder=folder, listener=listener)
    load_weights(module, fitted.checkpoint)
    return dict(module.network.state_dict()), fitted
