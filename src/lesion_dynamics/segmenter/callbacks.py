"""What happens beside the training loop: metrics handed on, an early end, an end of numbers."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, EarlyStopping

from lesion_dynamics.errors import TrainingError
from lesion_dynamics.segmenter.module import SELECTION_METRIC, TRAINING_LOSS

_LOG = logging.getLogger(__name__)
MetricsListener = Callable[[Mapping[str, float], int], None]
History = list[dict[str, float]]
"""The metrics of every epoch so far, each with its step as ``step``."""


class MetricsToListener(Callback):
    """Hands the metrics of every epoch to whoever records them, and to the log.

    All epochs so far are kept in `history`, and in the checkpoints.
    """

    def __init__(self, listener: MetricsListener) -> None:
        self._listener = listener
        self.history: History = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """After a resume: hand on again what the listener may not have been able to keep."""
        if trainer.is_global_zero:
            for row in self.history:
                metrics = {name: value for name, value in row.items() if name != "step"}
                self._listener(metrics, int(row["step"]))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Metrics of the epoch that has just ended."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        metrics["learning_rate"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        if trainer.current_epoch % trainer.check_val_every_n_epoch != _last_of(trainer):
            # Lightning keeps the last validation's metrics until the next one.
            metrics = {k: v for k, v in metrics.items() if not k.startswith("validation_")}
        self.history.append({"step": float(trainer.global_step), **metrics})
        if not trainer.is_global_zero:
            return
        self._listener(metrics, trainer.global_step)
        if not sys.stderr.isatty():
            shown = (TRAINING_LOSS, SELECTION_METRIC)
            _LOG.info(
                "epoch %d of %s: %s",
                trainer.current_epoch + 1,
                trainer.max_epochs,
                ", ".join(f"{name} {metrics[name]:.3f}" for name in shown if name in metrics),
            )

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.history = list(state_dict["history"])


def _last_of(trainer: pl.Trainer) -> int:
    """Place of the validated epoch among those between two validations."""
    return int(trainer.check_val_every_n_epoch) - 1


class EarlyEnd(EarlyStopping):
    """Ends a training whose validation score has not risen for `patience` validations.

    A training that is interrupted between that decision and its end does not start again.
    """

    def __init__(self, *, patience: int) -> None:
        super().__init__(
            SELECTION_METRIC, mode="max", patience=patience, check_on_train_epoch_end=False
        )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """After a resume: end at once where the end was decided before."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class EndOfNumbers(Callback):
    """Ends a training whose loss is no number any more: neither are its weights from then on."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """After every epoch, in all processes alike.

        Raises
        ------
        TrainingError : the mean loss of the epoch is not finite.
        """
        loss = float(trainer.callback_metrics[TRAINING_LOSS])
        if not math.isfinite(loss):
            raise TrainingError(
                f"the training loss of epoch {trainer.current_epoch + 1} is no number ({loss})",
                where="training",
                remedy="The training has diverged, and nothing is registered: try a smaller "
                "optimiser.learning_rate or optimiser.gradient_clip_norm.",
            )
