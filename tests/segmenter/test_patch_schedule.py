"""Which numbers an epoch's batches hold, and how large the patches behind them are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.conftest import composed
from tests.segmenter.training_scan_files import write_scan

from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.segmenter.patch_schedule import PatchBatches, PatchSchedule
from lesion_dynamics.segmenter.patches import LabelledScans
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.training import TrainSettings

LOOP = ("trainer.epochs=5", "trainer.steps_per_epoch=3", "patch.batch=4", "patch.size_voxels=32")
FINAL = ("patch.final_fraction=0.4", "patch.final_size_voxels=48", "patch.final_batch=2")


def settings(*overrides: str) -> TrainSettings:
    return validated(TrainSettings, composed("train", *LOOP, *overrides))


def schedule(*overrides: str) -> PatchSchedule:
    chosen = settings(*overrides)
    return PatchSchedule(chosen.patch, chosen.trainer)


def batches(
    plan: PatchSchedule, *, epoch: int, rank: int = 0, world_size: int = 1
) -> list[list[int]]:
    sampler = PatchBatches(plan, rank=rank, world_size=world_size)
    sampler.set_epoch(epoch)
    assert len(sampler) == len(list(sampler))
    return list(sampler)


def test_every_number_is_shown_once_and_the_last_epochs_have_their_own_batches() -> None:
    plan = schedule(*FINAL)
    shown = [batch for epoch in range(5) for batch in batches(plan, epoch=epoch)]
    # Three epochs of three batches of four, then two epochs of three batches of two.
    assert [len(batch) for batch in shown] == [4] * 9 + [2] * 6
    assert [number for batch in shown for number in batch] == list(range(48))
    sizes = [plan.size_voxels(number) for number in range(48)]
    assert sizes == [32] * 36 + [48] * 12


def test_without_a_final_part_nothing_changes() -> None:
    plan = schedule()
    assert batches(plan, epoch=4) == [[48, 49, 50, 51], [52, 53, 54, 55], [56, 57, 58, 59]]
    assert {plan.size_voxels(number) for number in range(60)} == {32}


def test_either_half_of_the_final_part_stands_alone() -> None:
    larger = schedule("patch.final_fraction=0.4", "patch.final_size_voxels=48")
    assert (larger.batch(4), larger.size_voxels(36), larger.size_voxels(35)) == (4, 48, 32)
    fewer = schedule("patch.final_fraction=0.4", "patch.final_batch=2")
    assert (fewer.batch(4), fewer.size_voxels(40)) == (2, 32)


def test_processes_share_every_batch_without_overlap() -> None:
    plan = schedule(*FINAL, "trainer.accumulate_batches=2")
    for epoch in (1, 4):
        whole = batches(plan, epoch=epoch)
        assert len(whole) == 6
        first, second = (batches(plan, epoch=epoch, rank=r, world_size=2) for r in (0, 1))
        for batch, one, other in zip(whole, first, second, strict=True):
            assert one == batch[0::2]
            assert other == batch[1::2]


def test_labelled_patches_have_the_size_of_their_number(tmp_path: Path) -> None:
    plan = schedule(*FINAL)
    scan = write_scan(tmp_path, 0, lesion=True)
    source = LabelledScans([scan], patch=settings().patch, size_of=plan.size_voxels, seed=1)
    for number, size in ((35, 32), (36, 48)):
        channels, reference = source.patch(number, np.random.default_rng(1))
        assert channels.shape[1:] == reference.shape[1:] == (size,) * 3


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("patch.final_size_voxels=48",), "final_fraction is 0"),
        (
            ("patch.final_fraction=0.05", "patch.final_batch=1"),
            "final_fraction=0.05 of . epochs is none",
        ),
        (("patch.final_fraction=0.4", "patch.final_size_voxels=50"), "patch.final_size_voxels=50"),
        (
            ("patch.final_fraction=0.4", "patch.final_batch=3", "trainer.devices=2"),
            "patch.final_batch=3 cannot be shared out",
        ),
    ],
)
def test_a_final_part_that_does_not_fit_is_refused(overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        settings(*overrides)
