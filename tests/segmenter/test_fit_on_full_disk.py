"""A disk that is full while a training writes: nothing is lost, and the weights are the same."""

from __future__ import annotations

import errno
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from tests.segmenter.small_training import Weights, last_weights, same, trained
from tests.small_files import files_of_at_most

from lesion_dynamics.errors import DiskFullError
from lesion_dynamics.segmenter import fit as fit_module
from lesion_dynamics.segmenter.fit import LAST_CHECKPOINT
from lesion_dynamics.segmenter.training_scans import TrainingScan


def undisturbed(scans: list[TrainingScan], folder: Path) -> Weights:
    plain = folder / "plain"
    plain.mkdir()
    trained(scans, plain)
    return last_weights(plain)


def test_a_full_disk_ends_in_one_line_and_loses_nothing(
    scans: list[TrainingScan],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writes, whole = 0, Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        nonlocal writes
        writes += 1
        if writes == 3:  # of the second epoch
            whole(self, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(self, data)

    folder = tmp_path / "full"
    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(DiskFullError, match="the disk is full; nothing was half-written"):
            trained(scans, folder, "trainer.wait_for_disk_seconds=0")
    assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "last.ckpt"]
    trained(scans, folder)
    assert same(last_weights(folder), undisturbed(scans, tmp_path))


def test_a_checkpoint_waits_for_room_and_the_training_does_not_notice(
    scans: list[TrainingScan],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    with monkeypatch.context() as patch, ExitStack() as full:
        pauses: list[float] = []

        def fills_up_after_the_first_epoch(_metrics: object, step: int) -> None:
            if step == 4:
                full.enter_context(files_of_at_most(1000))

        def somebody_makes_room(seconds: float) -> None:
            pauses.append(seconds)
            assert (folder / LAST_CHECKPOINT).is_file()
            if len(pauses) == 3:
                full.close()

        patch.setattr(fit_module.time, "sleep", somebody_makes_room)
        trained(
            scans,
            folder,
            "trainer.wait_for_disk_seconds=60",
            listener=fills_up_after_the_first_epoch,
        )
    assert pauses == [2.0, 2.0, 2.0]
    assert caplog.text.count("waits up to 60 s for room") == 1
    assert same(last_weights(folder), undisturbed(scans, tmp_path))
    assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_a_checkpoint_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def passes(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(fit_module.time, "monotonic", lambda: now)
    monkeypatch.setattr(fit_module.time, "sleep", passes)
    keeper = fit_module.AtomicCheckpointIO(wait_seconds=5.0)
    with files_of_at_most(1000), pytest.raises(DiskFullError, match="needed for this file"):
        keeper.save_checkpoint({"weights": torch.zeros(1000)}, tmp_path / LAST_CHECKPOINT)
    assert now == 5.0
    assert list(tmp_path.iterdir()) == []
