"""The training loop: Lightning's, with checkpoints that are whole or absent, and exact resume."""

from __future__ import annotations

import io
import logging
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import Callback, TQDMProgressBar
from pytorch_lightning.trainer.states import TrainerStatus

from lesion_dynamics.atomic_files import write_bytes
from lesion_dynamics.errors import DiskFullError
from lesion_dynamics.segmenter.callbacks import (
    EarlyEnd,
    EndOfNumbers,
    History,
    MetricsListener,
    MetricsToListener,
)
from lesion_dynamics.segmenter.datamodule import LesionDataModule
from lesion_dynamics.segmenter.freed_memory import keep_freed_memory
from lesion_dynamics.segmenter.module import (
    AVERAGE_IN_CHECKPOINT,
    SELECTION_METRIC,
    LesionModule,
)
from lesion_dynamics.segmenter.peers import (
    PatientDDP,
    is_of_the_connection,
    peer_lost,
    rank,
    reason,
)
from lesion_dynamics.segmenter.run_checkpoint import RunCheckpoint
from lesion_dynamics.settings.training import TrainerSettings, TrainSettings

_LOG = logging.getLogger(__name__)
LAST_CHECKPOINT = "last.ckpt"
BEST_CHECKPOINT = "best.ckpt"
_PAUSE_SECONDS = 2.0


class AtomicCheckpointIO(TorchCheckpointIO):
    """A checkpoint replaces the one before only when all its bytes are on disk.

    Where the disk is full, the training pauses until there is room again: nothing of it is lost,
    and nobody has to be there. After ``wait_seconds`` it ends.
    """

    def __init__(self, *, wait_seconds: float) -> None:
        super().__init__()
        self._wait_seconds = wait_seconds

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: Any,
        storage_options: Any = None,  # noqa: ARG002  Lightning's
    ) -> None:
        """Write ``checkpoint`` to ``path``, atomically.

        Raises
        ------
        DiskFullError : there was no room for it for too long.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        until = time.monotonic() + self._wait_seconds
        told = False
        while True:
            try:
                write_bytes(Path(path), content.getvalue())
            except DiskFullError as error:
                left = until - time.monotonic()
                if left <= 0:
                    raise
                if not told:
                    _LOG.warning(
                        "%s: %s. The training waits up to %.0f s for room; the checkpoint of "
                        "before is kept",
                        error.where,
                        error.what,
                        left,
                    )
                    told = True
                time.sleep(min(_PAUSE_SECONDS, left))
            else:
                return


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a training leaves: the checkpoint of the best validation, and every epoch's metrics."""

    checkpoint: Path
    history: History


def fit(
    module: LesionModule,
    data: LesionDataModule,
    settings: TrainSettings,
    *,
    run_folder: Path,
    listener: MetricsListener,
) -> Fitted:
    """Train, or go on with the training that ``run_folder`` holds.

    Raises
    ------
    KeyboardInterrupt : interrupted; the last finished epoch is kept.
    PeerLostError : of several processes, another one ended.
    """
    keep_freed_memory()
    # Only a mistake would read memory before it is written; to fill it took a tenth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if settings.trainer.threads:
        torch.set_num_threads(settings.trainer.threads)
    last = run_folder / LAST_CHECKPOINT
    metrics = MetricsToListener(listener)
    trainer = _trainer(settings, run_folder, metrics)
    with warnings.catch_warnings():
        # Lightning advises more workers by counting cores, whatever the loader is waiting for.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*before.*optimizer.step.*")
        warnings.filterwarnings(
            "ignore", message=".*Checkpoint directory .* exists and is not empty.*"
        )
        try:
            trainer.fit(
                module, data, ckpt_path=str(last) if last.is_file() else None, weights_only=True
            )
        except SystemExit:
            # Lightning turns Ctrl-C into an exit of its own.
            if trainer.state.status == TrainerStatus.INTERRUPTED:
                raise KeyboardInterrupt from None
            raise
        except RuntimeError as error:
            if settings.trainer.processes > 1 and is_of_the_connection(error):
                raise peer_lost(reason(error), settings.trainer.processes) from error
            raise
    best = run_folder / BEST_CHECKPOINT
    return Fitted(best if best.is_file() else last, metrics.history)


def is_first_process() -> bool:
    """Whether this is the process that records and evaluates; of one, it is."""
    return rank() == 0


def load_weights(module: LesionModule, checkpoint: Path) -> None:
    """Put the weights of a checkpoint of our own into ``module``: their average if it has one."""
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    module.load_state_dict(saved["state_dict"])
    if module.average is not None:
        module.average.load(saved[AVERAGE_IN_CHECKPOINT])
        module.average.exchange(module.network)


def _trainer(settings: TrainSettings, run_folder: Path, metrics: MetricsToListener) -> pl.Trainer:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    loop = settings.trainer
    callbacks: list[Callback] = [
        RunCheckpoint(
            dirpath=run_folder,
            filename=BEST_CHECKPOINT.removesuffix(".ckpt"),
            monitor=SELECTION_METRIC,
            mode="max",
            save_top_k=1,
            enable_version_counter=False,
            save_on_train_epoch_end=False,
        ),
        RunCheckpoint(
            dirpath=run_folder,
            filename=LAST_CHECKPOINT.removesuffix(".ckpt"),
            save_top_k=1,
            every_n_epochs=1,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        ),
        metrics,
        EndOfNumbers(),
    ]
    if loop.early_stopping_patience:
        callbacks.append(EarlyEnd(patience=loop.early_stopping_patience))
    if sys.stderr.isatty():
        callbacks.append(TQDMProgressBar(refresh_rate=5))
    return pl.Trainer(
        accelerator=loop.accelerator,
        devices=loop.devices,
        num_nodes=loop.num_nodes,
        strategy=_strategy(loop),
        max_epochs=loop.epochs,
        limit_train_batches=loop.steps_per_epoch * loop.accumulate_batches,
        accumulate_grad_batches=loop.accumulate_batches,
        check_val_every_n_epoch=loop.validation_interval,
        num_sanity_val_steps=0,
        gradient_clip_val=settings.optimiser.gradient_clip_norm,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO(wait_seconds=loop.wait_for_disk_seconds)],
        logger=False,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        default_root_dir=run_folder,
        use_distributed_sampler=False,
        # Batch normalisation over all GPUs; torch has none over the processes of processors.
        sync_batchnorm=loop.accelerator != "cpu" and torch.cuda.is_available(),
        deterministic=_determinism(loop),
        benchmark=not loop.deterministic,
    )


def _strategy(loop: TrainerSettings) -> PatientDDP | str:
    if loop.processes == 1:
        return "auto"
    return PatientDDP(find_unused_parameters=loop.strategy == "ddp_find_unused_parameters")


def _determinism(loop: TrainerSettings) -> bool | Literal["warn"]:
    if not loop.deterministic:
        return False
    # Some networks have steps without a deterministic form on GPUs: those warn.
    return "warn" if torch.cuda.is_available() and loop.accelerator != "cpu" else True
