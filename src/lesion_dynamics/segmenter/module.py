"""The training of a network: loss, optimiser, whole-scan validation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from lesion_dynamics.lesions.agreement import Agreement, agreement, summarise
from lesion_dynamics.segmenter.engines.torch_engine import TorchEngine
from lesion_dynamics.segmenter.losses import build_loss
from lesion_dynamics.segmenter.networks import build_network
from lesion_dynamics.segmenter.precision import Precision, autocast, choose_precision
from lesion_dynamics.segmenter.schedules import learning_rate_share
from lesion_dynamics.segmenter.sliding_window import lesion_probability
from lesion_dynamics.segmenter.weight_average import WeightAverage, mix_in
from lesion_dynamics.segmenter.weights_file import read_weights
from lesion_dynamics.settings.networks import DynUNetSettings, UNetSettings
from lesion_dynamics.settings.operating_point import LESION_CONNECTIVITY
from lesion_dynamics.settings.training import TrainSettings

TRAINING_LOSS = "training_loss"
SELECTION_METRIC = "validation_score"
"""Mean of Dice and lesion F1 over the validation scans where they are defined."""

AVERAGE_IN_CHECKPOINT = "weight_average"
_SCORE_PARTS = ("mean_dice", "mean_lesion_f1")
_VALIDATION_THRESHOLD = 0.5
_VALIDATION_MINIMUM_LESION_VOLUME_MM3 = 14.0  # a sphere of 3 mm diameter
_PREVALENCE_AT_START = 0.01
_CONVOLUTION_DIMENSIONS = 5  # of weights: out, in, x, y, z
_SIDE_BY_SIDE = (UNetSettings, DynUNetSettings)
"""Networks that train in bf16 on a processor with the channels of a voxel side by side, unasked."""


class LesionModule(pl.LightningModule):
    """Trains one network; the whole configuration is kept elsewhere, as plain data."""

    def __init__(self, settings: TrainSettings) -> None:
        super().__init__()
        self.settings = settings
        self.network = build_network(
            settings.segmenter.network, input_channels=len(settings.segmenter.sequences)
        )
        self.network.start_at_lesion_prevalence(_PREVALENCE_AT_START)
        if settings.trainer.activation_checkpointing:
            self.network.recompute_activations()
        self._lay_out_weights()
        self._loss = build_loss(settings.loss)
        self.average = self._fresh_average()
        self._agreements: list[Agreement] = []

    def _fresh_average(self) -> WeightAverage | None:
        decay = self.settings.optimiser.weight_average_decay
        return WeightAverage(self.network, decay=decay) if decay else None

    def start_from(self, weights: Path) -> None:
        """Begin with the weights of a model version, safetensors, instead of fresh ones."""
        read_weights(self.network, weights)
        self.average = self._fresh_average()

    def keep_of_the_start(self, weights: Path, *, share: float) -> None:
        """Mix a share of the weights that the training started from into what it made of them."""
        before = build_network(
            self.settings.segmenter.network, input_channels=len(self.settings.segmenter.sequences)
        )
        read_weights(before, weights)
        mix_in(self.network, before, share=share)

    def _lay_out_weights(self) -> None:
        if not self.settings.trainer.channels_last:
            return
        for weight in self.network.parameters():
            if weight.ndim == _CONVOLUTION_DIMENSIONS:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last_3d)

    def chosen_precision(self) -> Precision:
        """The arithmetic of training and validation on the device in use."""
        return choose_precision(self.settings.segmenter.precision, self.device)

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:  # noqa: ARG002
        """Loss of one batch of patches."""
        levels = self.levels(batch["channels"])
        loss = self.loss([logits.float() for logits in levels], batch["reference"])
        self.log(
            TRAINING_LOSS,
            loss.detach(),
            prog_bar=True,
            on_step=False,
            on_epoch=True,
            sync_dist=True,
            batch_size=len(batch["channels"]),
        )
        return loss

    def levels(self, channels: Tensor) -> list[Tensor]:
        """Logits of every level that answers to a batch, (batch, 1, x, y, z), finest first.

        In bf16 on a processor UNet and DynUNet train with the channels of a voxel side by side
        (:mod:`lesion_dynamics.segmenter.quick_norm`, :mod:`lesion_dynamics.segmenter.quick_block`).
        """
        quick = (
            isinstance(self.settings.segmenter.network, _SIDE_BY_SIDE)
            and self.device.type == "cpu"
            and self.chosen_precision() == "bf16"
        )
        if quick or self.settings.trainer.channels_last:
            channels = channels.contiguous(memory_format=torch.channels_last_3d)
        with autocast(self.device, self.chosen_precision()):
            return self.network.at_every_level(channels)

    def loss(self, levels: list[Tensor], reference: Tensor) -> Tensor:
        """Loss of every level that answers, each (batch, 1, x, y, z) logits, finest first.

        A level weighs half of the one above it, all together 1 (nnU-Net's deep supervision).
        """
        weights = [0.5**level for level in range(len(levels))]
        parts = [
            weight / sum(weights) * self._loss(logits, reference)
            for weight, logits in zip(weights, levels, strict=True)
        ]
        return torch.stack(parts).sum()

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """One step of the weights, and of their average."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if self.average is not None:
            self.average.update(self.network)

    def on_validation_epoch_start(self) -> None:
        """The average of the weights is what is validated, where there is one."""
        if self.average is not None:
            self.average.exchange(self.network)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the average beside the weights."""
        if self.average is not None:
            checkpoint[AVERAGE_IN_CHECKPOINT] = self.average.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the average, too."""
        if self.average is not None:
            self.average.load(checkpoint[AVERAGE_IN_CHECKPOINT])

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:  # noqa: ARG002
        """Agreement on one whole scan, with the sliding window of inference."""
        segmenter = self.settings.segmenter
        probability = lesion_probability(
            TorchEngine(self.network, precision=self.chosen_precision(), device=self.device),
            batch["channels"][0].cpu().numpy(),
            window=segmenter.window,
        )
        self._agreements.append(
            agreement(
                batch["reference"][0].cpu().numpy(),
                (probability >= _VALIDATION_THRESHOLD).astype(np.uint8),
                voxel_volume_mm3=segmenter.spacing_mm**3,
                connectivity=LESION_CONNECTIVITY,
                minimum_lesion_volume_mm3=_VALIDATION_MINIMUM_LESION_VOLUME_MM3,
            )
        )

    def on_validation_epoch_end(self) -> None:
        """Log the means over the scans where a metric is defined, and how many are not."""
        if self.average is not None:
            self.average.exchange(self.network)
        summary = summarise(self._agreements)
        self._agreements = []
        for name, value in summary.items():
            self.log(f"validation_{name}", float(value), sync_dist=True)
        defined = [float(summary[name]) for name in _SCORE_PARTS if name in summary]
        score = sum(defined) / len(defined) if defined else 0.0
        self.log(SELECTION_METRIC, score, prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """AdamW with the learning-rate schedule."""
        optimiser = self.settings.optimiser
        adamw = torch.optim.AdamW(
            self.parameters(),
            lr=optimiser.learning_rate,
            weight_decay=optimiser.weight_decay,
            # In one pass over the weights; on GPUs torch's own choice.
            fused=True if self.device.type == "cpu" else None,
        )
        steps = self.settings.trainer.epochs * self.settings.trainer.steps_per_epoch

        def share(step: int) -> float:
            return learning_rate_share(step, steps=steps, settings=optimiser)

        schedule = torch.optim.lr_scheduler.LambdaLR(adamw, share)
        return {"optimizer": adamw, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
