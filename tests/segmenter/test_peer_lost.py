"""A process of a training in several ends: the others say so in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.rank_zero import rank_zero_only
from tests.segmenter.small_training import trained

from lesion_dynamics.errors import PeerLostError
from lesion_dynamics.segmenter.training_scans import TrainingScan

GLOO = (
    "[/__w/pytorch/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by "
    "peer [127.0.0.1]:53393. This is typically caused by a remote worker crashing. Check the logs"
)
"""As torch 2.13 says it."""


def ending_with(error: Exception, monkeypatch: pytest.MonkeyPatch, *, rank: int = 0) -> None:
    def ends(*_: Any, **__: Any) -> None:
        monkeypatch.setattr(rank_zero_only, "rank", rank)  # the trainer has set its own
        raise error

    monkeypatch.setattr(pl.Trainer, "fit", ends)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError(GLOO), "Connection closed by peer"),
        (
            torch.distributed.DistBackendError("NCCL: peer gone\nand more"),
            "NCCL: peer gone",
        ),
    ],
)
def test_the_others_say_which_they_are_and_where_to_look(
    error: Exception,
    said: str,
    scans: list[TrainingScan],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ending_with(error, monkeypatch, rank=1)
    with pytest.raises(PeerLostError) as lost:
        trained(scans, tmp_path, "trainer.devices=2")
    assert str(lost.value) == (
        f"process 2 of 2: this process lost the others of its training ({said}). "
        "Another one says why it ended; mend that and start the same command again: it goes on "
        "from the last epoch."
    )


@pytest.mark.parametrize(
    ("error", "devices"), [(RuntimeError("shapes differ"), 2), (RuntimeError(GLOO), 1)]
)
def test_any_other_error_is_a_defect_and_stays_what_it_is(
    error: Exception,
    devices: int,
    scans: list[TrainingScan],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ending_with(error, monkeypatch)
    with pytest.raises(RuntimeError) as raised:
        trained(scans, tmp_path, f"trainer.devices={devices}")
    assert raised.value is error
