"""The training of a network: loss, optimiser, whole-scan validation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from monai.losses import DiceLoss
from torch import Tensor

from lesion_dynamics.lesions.agreement import Agreement, agreement, summarise
from lesion_dynamics.segmenter.networks import build_network
from lesion_dynamics.segmenter.precision import Precision, autocast, choose_precision
from lesion_dynamics.segmenter.sliding_window import lesion_probability
from lesion_dynamics.settings.operating_point import LESION_CONNECTIVITY
from lesion_dynamics.settings.training import TrainSettings

SELECTION_METRIC = "validation_score"
"""Mean of Dice and lesion F1 over the validation scans where they are defined."""

_SCORE_PARTS = ("mean_dice", "mean_lesion_f1")
_VALIDATION_THRESHOLD = 0.5
_VALIDATION_MINIMUM_LESION_VOLUME_MM3 = 14.0  # a sphere of 3 mm diameter
_PREVALENCE_AT_START = 0.01


class LesionModule(pl.LightningModule):
    """Trains one network; the whole configuration is kept elsewhere, as plain data."""

    def __init__(self, settings: TrainSettings) -> None:
        super().__init__()
        self.settings = settings
        self.network = build_network(
            settings.segmenter.network, input_channels=len(settings.segmenter.sequences)
        )
        self.network.start_at_lesion_prevalence(_PREVALENCE_AT_START)
        # One Dice over the batch: a patch without lesions then counts by its false positives.
        self._dice = DiceLoss(sigmoid=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)
        self._cross_entropy = torch.nn.BCEWithLogitsLoss()
        self._agreements: list[Agreement] = []

    def chosen_precision(self) -> Precision:
        """The arithmetic of training and validation on the device in use."""
        return choose_precision(self.settings.segmenter.precision, self.device)

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:  # noqa: ARG002
        """Loss of one batch of patches."""
        with autocast(self.device, self.chosen_precision()):
            logits = self.network(batch["channels"])
        loss = self.loss(logits.float(), batch["reference"])
        self.log("training_loss", loss.detach(), prog_bar=True, on_step=False, on_epoch=True)
        return loss

    def loss(self, logits: Tensor, reference: Tensor) -> Tensor:
        """Weighted sum of Dice loss and binary cross-entropy; both (batch, 1, x, y, z)."""
        weights = self.settings.loss
        dice: Tensor = self._dice(logits, reference)
        cross_entropy: Tensor = self._cross_entropy(logits, reference)
        return weights.dice_weight * dice + weights.cross_entropy_weight * cross_entropy

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:  # noqa: ARG002
        """Agreement on one whole scan, with the sliding window of inference."""
        segmenter = self.settings.segmenter
        probability = lesion_probability(
            self.network,
            batch["channels"][0].cpu().numpy(),
            window=segmenter.window,
            precision=self.chosen_precision(),
            device=self.device,
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
        summary = summarise(self._agreements)
        self._agreements = []
        for name, value in summary.items():
            self.log(f"validation_{name}", float(value))
        defined = [float(summary[name]) for name in _SCORE_PARTS if name in summary]
        score = sum(defined) / len(defined) if defined else 0.0
        self.log(SELECTION_METRIC, score, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW; the learning rate warms up and then falls along a cosine to zero."""
        optimiser = self.settings.optimiser
        adamw = torch.optim.AdamW(
            self.parameters(), lr=optimiser.learning_rate, weight_decay=optimiser.weight_decay
        )
        steps = self.settings.trainer.epochs * self.settings.trainer.steps_per_epoch
        warmup = max(1, round(steps * optimiser.warmup_fraction))

        def share(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

        schedule = torch.optim.lr_scheduler.LambdaLR(adamw, share)
        return {"optimizer": adamw, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
