"""Loaders of training patches and of whole validation scans."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lesion_dynamics.segmenter.augmentation import PatchAugmentation
from lesion_dynamics.segmenter.loading_process import loading_begin, loading_context
from lesion_dynamics.segmenter.patch_schedule import PatchBatches, PatchSchedule
from lesion_dynamics.segmenter.patches import (
    LabelledScans,
    PatchDataset,
    PatchSource,
)
from lesion_dynamics.segmenter.training_scans import TrainingScan
from lesion_dynamics.settings.training import TrainSettings


class WholeScans(Dataset[dict[str, Tensor]]):
    """Prepared validation scans, whole, in order."""

    def __init__(self, scans: Sequence[TrainingScan]) -> None:
        self._scans = tuple(scans)

    def __len__(self) -> int:
        return len(self._scans)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        scan = self._scans[index]
        return {
            "channels": torch.from_numpy(np.array(scan.array("channels"), dtype=np.float32)),
            "reference": torch.from_numpy(np.array(scan.array("reference"))),
        }


class LesionDataModule(pl.LightningDataModule):
    """Training patches and validation scans of participants that never mix.

    source : where training patches come from; None is the training scans.
    """

    def __init__(
        self,
        training: Sequence[TrainingScan],
        validation: Sequence[TrainingScan],
        settings: TrainSettings,
        *,
        source: PatchSource | None = None,
    ) -> None:
        super().__init__()
        shared = {s.participant_id for s in training} & {s.participant_id for s in validation}
        if shared:
            raise ValueError(f"participants on both sides of the split: {sorted(shared)}")
        self._schedule = PatchSchedule(settings.patch, settings.trainer)
        self._source = source or LabelledScans(
            training,
            patch=settings.patch,
            size_of=self._schedule.size_voxels,
            seed=settings.seed,
        )
        self._validation = tuple(validation)
        self._settings = settings

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Patches of one epoch."""
        settings = self._settings
        augmentation = PatchAugmentation(
            settings.augmentation,
            sequences=settings.segmenter.sequences,
            optional_sequences=settings.segmenter.optional_sequences,
        )
        dataset = PatchDataset(self._source, augmentation=augmentation, seed=settings.seed)
        loop = settings.trainer
        world_size = self.trainer.world_size if self.trainer is not None else 1
        batches = PatchBatches(
            self._schedule,
            rank=self.trainer.global_rank if self.trainer is not None else 0,
            world_size=world_size,
            # A resumed training begins to load before Lightning tells the epoch.
            first_epoch=self.trainer.global_step // loop.steps_per_epoch
            if self.trainer is not None
            else 0,
        )
        workers = settings.trainer.workers
        return DataLoader(
            dataset,
            batch_sampler=batches,
            num_workers=workers,
            persistent_workers=workers > 0,
            multiprocessing_context=loading_context() if workers else None,
            worker_init_fn=loading_begin() if workers else None,
            pin_memory=torch.cuda.is_available(),
        )

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Whole validation scans, one at a time."""
        return DataLoader(WholeScans(self._validation), batch_size=1, num_workers=0)
