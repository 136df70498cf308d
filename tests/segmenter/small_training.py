"""A training of four steps on scans made by hand, without the workflow around it."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl
import torch
from tests.conftest import SMALL_TRAINING, composed

from lesion_dynamics.segmenter.callbacks import MetricsListener
from lesion_dynamics.segmenter.datamodule import LesionDataModule
from lesion_dynamics.segmenter.fit import LAST_CHECKPOINT, Fitted, fit, load_weights
from lesion_dynamics.segmenter.module import LesionModule
from lesion_dynamics.segmenter.training_scans import TrainingScan
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.training import TrainSettings

Weights = dict[str, torch.Tensor]


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


def last_weights(folder: Path) -> Weights:
    """Of the last epoch, averaged where the training averages them."""
    saved = torch.load(folder / LAST_CHECKPOINT, weights_only=True)
    average = saved.get("weight_average")
    return dict(saved["state_dict"]) if average is None else dict(average["average"])


def weights(
    known: dict[tuple[str, ...], Weights],
    scans: list[TrainingScan],
    folder: Path,
    *overrides: str,
) -> Weights:
    """As `last_weights`, of a training that is done once for all who ask for these overrides."""
    if overrides not in known:
        folder.mkdir(exist_ok=True)
        trained(scans, folder, *overrides)
        known[overrides] = last_weights(folder)
    return known[overrides]


def same(first: Weights, second: Weights) -> bool:
    """Bit for bit."""
    return first.keys() == second.keys() and all(
        first[n].shape == second[n].shape and torch.equal(first[n], second[n]) for n in first
    )
