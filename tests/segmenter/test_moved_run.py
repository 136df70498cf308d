"""A training goes on in a run folder that was moved, and its best checkpoint stays the best."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from tests.segmenter.small_training import last_weights, same, settings, trained
from tests.segmenter.training_scan_files import write_scan

from lesion_dynamics.segmenter.fit import BEST_CHECKPOINT, LAST_CHECKPOINT
from lesion_dynamics.segmenter.module import SELECTION_METRIC, LesionModule
from lesion_dynamics.segmenter.run_checkpoint import RunCheckpoint
from lesion_dynamics.segmenter.training_scans import TrainingScan

EPOCHS = "trainer.epochs=3"


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingScan]:
    folder = tmp_path_factory.mktemp("scans")
    return [write_scan(folder, number, lesion=True) for number in range(3)]


def scored(patch: pytest.MonkeyPatch, scores: Sequence[float]) -> None:
    """Let the validation of each epoch have the score of its place."""
    log = LesionModule.log

    def own(self: LesionModule, name: str, value: Any, *more: Any, **named: Any) -> None:
        log(self, name, scores[self.current_epoch] if name == SELECTION_METRIC else value,
            *more, **named)  # fmt: skip

    patch.setattr(LesionModule, "log", own)


def ended_after(scans: list[TrainingScan], folder: Path, *, epochs: int) -> None:
    """Train in ``folder`` until the process dies in the epoch after so many."""
    steps = settings().trainer.steps_per_epoch * epochs
    step = LesionModule.training_step

    def dying(self: LesionModule, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        if self.global_step == steps:
            raise MemoryError
        return step(self, batch, index)

    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LesionModule, "training_step", dying)
        with pytest.raises(MemoryError):
            trained(scans, folder, EPOCHS)


def checkpoint(folder: Path, name: str) -> dict[str, Any]:
    return dict(torch.load(folder / name, weights_only=True))


def texts(value: object) -> list[str]:
    """All texts in it, keys among them."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for pair in value.items() for one in pair for text in texts(one)]
    return []


@pytest.mark.parametrize(
    ("scores", "best"),
    [((0.9, 0.2, 0.3), 0), ((0.5, 0.4, 0.7), 2)],
    ids=["before the move", "after the move"],
)
def test_the_best_epoch_stays_the_best_when_the_run_folder_moves(
    scores: tuple[float, ...],
    best: int,
    scans: list[TrainingScan],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scored(monkeypatch, scores)
    ended_after(scans, tmp_path / "here", epochs=1)
    shutil.copytree(tmp_path / "here", tmp_path / "stays")
    (tmp_path / "there").mkdir()
    shutil.move(tmp_path / "here", tmp_path / "there" / "moved")
    moved, stays = tmp_path / "there" / "moved", tmp_path / "here"
    registered, fitted = trained(scans, moved, EPOCHS)
    assert fitted.checkpoint == moved / BEST_CHECKPOINT
    assert checkpoint(moved, BEST_CHECKPOINT)["epoch"] == best
    assert sorted(path.name for path in moved.iterdir()) == [BEST_CHECKPOINT, LAST_CHECKPOINT]
    # The same training, gone on with where it was.
    shutil.move(tmp_path / "stays", stays)
    in_place, _ = trained(scans, stays, EPOCHS)
    assert same(registered, in_place)
    assert same(last_weights(moved), last_weights(stays))
    states = [checkpoint(folder, LAST_CHECKPOINT)["callbacks"] for folder in (moved, stays)]
    assert not [text for text in texts(states[0]) if text.startswith(str(stays))]
    found, wanted = ([s for s in one.values() if "dirpath" in s] for one in states)
    assert [one["best_model_score"] for one in found] == [one["best_model_score"] for one in wanted]
    assert found[0]["best_model_score"] == pytest.approx(scores[best])
    assert found[0]["best_k_models"] == {str(moved / BEST_CHECKPOINT): pytest.approx(scores[best])}


STATE: dict[str, Any] = {
    "monitor": SELECTION_METRIC,
    "best_model_score": torch.tensor(0.9),
    "best_model_path": "/old/run/best.ckpt",
    "current_score": torch.tensor(0.2),
    "dirpath": "/old/run",
    "best_k_models": {"/old/run/best.ckpt": torch.tensor(0.9), "/older/a.ckpt": torch.tensor(0.8)},
    "kth_best_model_path": "/old/run/below/best.ckpt",
    "kth_value": torch.tensor(0.8),
    "last_model_path": "",
}


def test_a_state_is_moved_with_its_folder_and_is_itself_left_as_it_is() -> None:
    given = {**STATE, "best_k_models": dict(STATE["best_k_models"])}
    one = RunCheckpoint(dirpath="/new/place", monitor=SELECTION_METRIC, mode="max")
    one.load_state_dict(given)
    assert given == STATE
    scores = {
        "/new/place/best.ckpt": STATE["best_model_score"],
        "/older/a.ckpt": STATE["kth_value"],
    }
    assert one.state_dict() == {
        **STATE,
        "current_score": None,  # the next validation gives it
        "dirpath": "/new/place",
        "best_model_path": "/new/place/best.ckpt",
        "kth_best_model_path": "/new/place/below/best.ckpt",
        "best_k_models": scores,
    }


def test_in_place_it_is_lightnings_own() -> None:
    monitored: dict[str, Any] = {"dirpath": "/old/run", "monitor": SELECTION_METRIC, "mode": "max"}
    for values in (monitored, {"dirpath": "/old/run", "every_n_epochs": 1}):
        own, lightnings = RunCheckpoint(**values), ModelCheckpoint(**values)
        assert own.state_key == lightnings.state_key
        own.load_state_dict(dict(STATE))
        lightnings.load_state_dict(dict(STATE))
        assert own.state_dict() == lightnings.state_dict()
