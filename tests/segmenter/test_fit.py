"""The loop: every knob changes the weights, and nothing that interrupts it does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.segmenter.small_training import Weights, last_weights, same, settings, trained, weights
from tests.segmenter.training_scan_files import write_scan

from lesion_dynamics.errors import TrainingError
from lesion_dynamics.segmenter import fit as fit_module
from lesion_dynamics.segmenter.fit import LAST_CHECKPOINT
from lesion_dynamics.segmenter.module import LesionModule
from lesion_dynamics.segmenter.training_scans import TrainingScan
from lesion_dynamics.segmenter.weights_file import write_weights

EVERYTHING = (
    "optimiser.weight_average_decay=0.5",
    "optimiser.schedule=polynomial",
    "trainer.accumulate_batches=2",
    "trainer.early_stopping_patience=2",
    "trainer.epochs=3",
)
LIGHT_UNET_IN_BF16 = (
    "segmenter=unet", "segmenter.network.strides=[2,2]", "segmenter.precision=bf16",
)  # fmt: skip
SIDE_BY_SIDE_IN_BF16 = ("trainer.channels_last=true", "segmenter.precision=bf16")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingScan]:
    folder = tmp_path_factory.mktemp("scans")
    return [
        write_scan(folder, number, lesion=number != 2, speck=number != 2) for number in range(4)
    ]


@pytest.fixture(scope="module")
def usual(
    scans: list[TrainingScan], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, ...], Weights]:
    """Weights after the last epoch of each training asked for, by its overrides."""
    return {}


KNOBS: list[tuple[str, tuple[str, ...]]] = [
    ("optimiser.learning_rate=0.02", ()),
    ("optimiser.weight_decay=5.0", ()),
    ("optimiser.warmup_fraction=0.5", ()),
    ("optimiser.gradient_clip_norm=0.001", ()),
    ("optimiser.schedule=constant", ()),
    ("optimiser.schedule=polynomial", ()),
    ("optimiser.polynomial_power=3", ("optimiser.schedule=polynomial",)),
    ("optimiser.schedule=trapezoid", ()),
    ("optimiser.decay_fraction=0.5", ("optimiser.schedule=trapezoid",)),
    ("optimiser.weight_average_decay=0.5", ()),
    ("optimiser.weight_average_decay=0.1", ("optimiser.weight_average_decay=0.5",)),
    ("loss.dice_weight=0.1", ()),
    ("loss.cross_entropy_weight=0.1", ()),
    ("loss=dice_focal", ()),
    ("loss.focal_weight=1", ("loss=dice_focal",)),
    ("loss.gamma=0", ("loss=dice_focal",)),
    ("loss.lesion_weight=0.9", ("loss=dice_focal",)),
    ("loss=tversky", ()),
    ("loss.tversky_weight=0.1", ("loss=tversky",)),
    ("loss.false_positive_weight=0.9", ("loss=tversky",)),
    ("loss.false_negative_weight=0.1", ("loss=tversky",)),
    ("loss.exponent=2", ("loss=tversky",)),
    ("loss=blob", ()),
    ("loss.blob_weight=3", ("loss=blob",)),
    ("patch.lesion_fraction=0.0", ()),
    ("patch.lesion_size_power=0.0", ("patch.lesion_fraction=1.0", "seed=2")),
    ("patch.lookalike_fraction=1.0", ("patch.lesion_fraction=0.0",)),
    ("patch.batch=1", ()),
    ("patch.size_voxels=24", ()),
    ("patch.final_fraction=0.5", ("patch.final_fraction=1.0", "patch.final_batch=1")),
    ("patch.final_batch=1", ("patch.final_fraction=0.5",)),
    ("patch.final_size_voxels=24", ("patch.final_fraction=0.5",)),
    ("trainer.accumulate_batches=2", ()),
    ("trainer.epochs=1", ()),
    ("trainer.steps_per_epoch=4", ()),
    ("segmenter.network.residual=true", ()),
    ("segmenter.network.deep_supervision=1", ()),
    ("segmenter.network.head_channels=3", ()),
    ("segmenter.network.norm=batch", ()),
    ("augmentation=none", ()),
    ("augmentation.motion=1.0", ()),
    ("augmentation.ghosting=1.0", ()),
    ("seed=2", ()),
]


@pytest.mark.parametrize(("knob", "beside"), KNOBS, ids=[knob for knob, _ in KNOBS])
def test_every_knob_of_the_training_changes_its_weights(
    knob: str,
    beside: tuple[str, ...],
    usual: dict[tuple[str, ...], Weights],
    scans: list[TrainingScan],
    tmp_path: Path,
) -> None:
    plain = weights(usual, scans, tmp_path / "plain", *beside)
    assert not same(weights(usual, scans, tmp_path / "turned", *beside, knob), plain)


def test_knobs_of_the_machine_change_nothing(
    usual: dict[tuple[str, ...], Weights], scans: list[TrainingScan], tmp_path: Path
) -> None:
    plain = weights(usual, scans, tmp_path / "plain")
    for knob in ("trainer.workers=1", "trainer.early_stopping_patience=1"):
        assert same(weights(usual, scans, tmp_path / knob, knob), plain)
    for knob in ("trainer.activation_checkpointing=true", "trainer.channels_last=true"):
        again = weights(usual, scans, tmp_path / knob, knob)
        for name, value in plain.items():
            torch.testing.assert_close(again[name], value)


def test_weights_to_start_from_are_read_whatever_their_order_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    torch.manual_seed(3)
    one = LesionModule(settings())
    write_weights(one.network, file)
    other = LesionModule(settings("trainer.channels_last=true"))
    other.start_from(file)
    for (name, mine), its in zip(
        one.network.named_parameters(), other.network.parameters(), strict=True
    ):
        assert torch.equal(mine, its), name
    kernel = next(one for one in other.network.parameters() if one.ndim == 5 and one.shape[1] > 1)
    assert kernel.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("wanted", [True, False])
def test_steps_are_deterministic_unless_that_is_given_up(
    wanted: bool, scans: list[TrainingScan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[bool] = set()

    def training_step(module: LesionModule, *batch: Any) -> torch.Tensor:
        seen.add(torch.are_deterministic_algorithms_enabled())
        return step(module, *batch)

    step = LesionModule.training_step
    monkeypatch.setattr(LesionModule, "training_step", training_step)
    weights({}, scans, tmp_path, f"trainer.deterministic={str(wanted).lower()}")
    assert seen == {wanted}


def test_the_registered_weights_are_the_validated_average(
    scans: list[TrainingScan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    whole = LesionModule.validation_step

    def watched(self: LesionModule, batch: dict[str, torch.Tensor], index: int) -> None:
        seen.append(self.network.head.weight.detach().clone())
        whole(self, batch, index)

    monkeypatch.setattr(LesionModule, "validation_step", watched)
    registered, _ = trained(
        scans, tmp_path, "optimiser.weight_average_decay=0.9", "trainer.epochs=1"
    )
    raw = torch.load(tmp_path / LAST_CHECKPOINT, weights_only=True)["state_dict"]
    assert torch.equal(registered["head.weight"], seen[-1])
    assert not torch.equal(registered["head.weight"], raw["network.head.weight"])


@pytest.mark.parametrize(
    ("step", "everything"),
    [
        (1, EVERYTHING),
        (6, EVERYTHING),
        (8, EVERYTHING),
        (6, (*LIGHT_UNET_IN_BF16, *EVERYTHING)),
        (6, (*SIDE_BY_SIDE_IN_BF16, *EVERYTHING)),
    ],
)
def test_a_training_with_everything_on_goes_on_bit_for_bit(
    step: int,
    everything: tuple[str, ...],
    usual: dict[tuple[str, ...], Weights],
    scans: list[TrainingScan],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole_run = weights(usual, scans, tmp_path / "whole", *everything)
    steps, whole = 0, LesionModule.training_step

    def interrupted(self: LesionModule, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == step:
            raise MemoryError
        return whole(self, batch, index)

    folder = tmp_path / "interrupted"
    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(LesionModule, "training_step", interrupted)
        with pytest.raises(MemoryError):
            trained(scans, folder, *everything)
    _, fitted = trained(scans, folder, *everything)
    assert same(last_weights(folder), whole_run)
    assert [row["step"] for row in fitted.history] == [2.0, 4.0, 6.0]


def test_a_training_that_goes_on_says_again_what_may_not_have_been_kept(
    scans: list[TrainingScan], tmp_path: Path
) -> None:
    told: list[tuple[int, float]] = []

    def listener(metrics: Mapping[str, float], step: int) -> None:
        told.append((step, metrics["training_loss"]))
        assert "step" not in metrics

    trained(scans, tmp_path, listener=listener)
    first = list(told)
    assert [step for step, _ in first] == [2, 4]
    trained(scans, tmp_path, listener=listener)  # it is over: nothing is trained
    assert told == [*first, *first]


def test_the_training_ends_early_and_a_resume_does_not_begin_again(
    scans: list[TrainingScan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A learning rate of nearly zero: the score never rises above the first validation's.
    overrides = (
        "trainer.epochs=8",
        "optimiser.learning_rate=1e-12",
        "trainer.early_stopping_patience=2",
    )
    _, fitted = trained(scans, tmp_path, *overrides)
    assert len(fitted.history) == 3
    ended = last_weights(tmp_path)

    def unexpected(*_: object) -> None:
        raise AssertionError("the training began again")

    monkeypatch.setattr(LesionModule, "training_step", unexpected)
    _, again = trained(scans, tmp_path, *overrides)
    assert again.history == fitted.history
    assert same(last_weights(tmp_path), ended)
    assert fit_module.SELECTION_METRIC in fitted.history[-1]


def test_a_training_that_diverges_ends_with_a_line_that_says_so(
    scans: list[TrainingScan], tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"loss of epoch [12] is no number \((nan|inf)\)"):
        trained(
            scans, tmp_path, "optimiser.learning_rate=1e30", "optimiser.warmup_fraction=0",
            "optimiser.gradient_clip_norm=1e30", "trainer.validate_every_epochs=2",
        )  # fmt: skip


def test_metrics_of_a_validation_stand_only_with_its_own_epoch(
    scans: list[TrainingScan], tmp_path: Path
) -> None:
    _, fitted = trained(scans, tmp_path, "trainer.epochs=4", "trainer.validate_every_epochs=2")
    validated = ["validation_score" in row for row in fitted.history]
    assert validated == [False, True, False, True]
    assert all("training_loss" in row and "learning_rate" in row for row in fitted.history)


def test_two_batches_of_one_accumulated_are_one_batch_of_two(
    scans: list[TrainingScan], tmp_path: Path
) -> None:
    """With the cross-entropy alone: the mean over voxels of a batch is the mean of its patches'."""
    found = []
    for name, knobs in (
        ("one", ("patch.batch=1", "trainer.accumulate_batches=2")),
        ("two", ("patch.batch=2", "trainer.accumulate_batches=1")),
    ):
        folder = tmp_path / name
        folder.mkdir()
        trained(scans, folder, "loss.dice_weight=0", *knobs)
        found.append(last_weights(folder))
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], atol=2e-5, rtol=2e-4)
    # The tolerance tells: with the Dice term, which is of the whole batch, they differ by more.
    (tmp_path / "dice").mkdir()
    trained(scans, tmp_path / "dice", "patch.batch=1", "trainer.accumulate_batches=2")
    dice = last_weights(tmp_path / "dice")
    assert max(float((dice[n] - v).abs().max()) for n, v in found[0].items()) > 1e-3


def test_lower_levels_weigh_half_of_the_one_above_and_all_together_one() -> None:
    module = LesionModule(settings("loss.dice_weight=0", "loss.cross_entropy_weight=1"))
    reference = torch.zeros(1, 1, 4, 4, 4)
    levels = [torch.full(reference.shape, value) for value in (0.0, 1.0, -2.0)]
    alone = [float(torch.nn.functional.softplus(level).mean()) for level in levels]
    expected = (4 * alone[0] + 2 * alone[1] + alone[2]) / 7
    assert float(module.loss(levels, reference)) == pytest.approx(expected, rel=1e-6)
    assert float(module.loss(levels[:1], reference)) == pytest.approx(alone[0], rel=1e-6)
