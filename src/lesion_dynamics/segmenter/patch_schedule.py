"""Which patches an epoch shows, how large, in which batches.

The last part of a training may show larger patches, up to the window of inference: instance
normalisation sees other statistics in a whole brain than in a small patch.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import Sampler

from lesion_dynamics.settings.training import PatchSettings, TrainerSettings


class PatchSchedule:
    """Patches are numbered through the whole training; a number says all of a patch.

    patch : sizes and batches, of the most and of the last epochs.
    """

    def __init__(self, patch: PatchSettings, loop: TrainerSettings) -> None:
        self._patch = patch
        self._batches_per_epoch = loop.steps_per_epoch * loop.accumulate_batches
        self._first_final_epoch = loop.epochs - patch.final_epochs(loop.epochs)

    def batch(self, epoch: int) -> int:
        """Patches in each batch of an epoch, all devices together."""
        final = self._patch.final_batch
        if epoch >= self._first_final_epoch and final is not None:
            return final
        return self._patch.batch

    def first_number(self, epoch: int) -> int:
        """Number of the first patch of an epoch."""
        before = min(epoch, self._first_final_epoch)
        after = epoch - before
        return self._batches_per_epoch * (
            before * self._patch.batch + after * self.batch(self._first_final_epoch)
        )

    def batches(self, epoch: int) -> list[range]:
        """The patch numbers of each batch of an epoch."""
        first, batch = self.first_number(epoch), self.batch(epoch)
        return [
            range(first + turn * batch, first + (turn + 1) * batch)
            for turn in range(self._batches_per_epoch)
        ]

    @property
    def batches_per_epoch(self) -> int:
        """The same in every epoch."""
        return self._batches_per_epoch

    def size_voxels(self, number: int) -> int:
        """Edge of patch ``number``."""
        final = self._patch.final_size_voxels
        if final is not None and number >= self.first_number(self._first_final_epoch):
            return final
        return self._patch.size_voxels


class PatchBatches(Sampler[list[int]]):
    """The batches of one epoch, shared out among the processes of a distributed training.

    Process r of w takes the numbers n of a batch with n mod w = r, so what the processes hold at
    one step is together the batch that a single process would hold.
    """

    def __init__(
        self, schedule: PatchSchedule, *, rank: int, world_size: int, first_epoch: int = 0
    ) -> None:
        self._schedule = schedule
        self._rank = rank
        self._world_size = world_size
        self._epoch = first_epoch
        # Lightning tells the epoch to a batch sampler's sampler, not to the batch sampler.
        self.sampler = self

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before every epoch; after a resume only once its loader has begun."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._schedule.batches(self._epoch):
            yield list(batch[self._rank :: self._world_size])

    def __len__(self) -> int:
        return self._schedule.batches_per_epoch
