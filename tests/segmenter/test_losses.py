"""The losses against closed forms and MONAI's own, with lesions small and absent."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.losses import FocalLoss, TverskyLoss
from tests.conftest import composed

from lesion_dynamics.segmenter.losses import (
    blob_dice,
    build_loss,
    focal_cross_entropy,
    focal_tversky,
)
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.training import TrainSettings

SHAPE = (2, 1, 6, 6, 6)


def logits_of(probability: float) -> torch.Tensor:
    return torch.full(SHAPE, math.log(probability / (1 - probability)))


def two_lesions() -> torch.Tensor:
    """One of 8 voxels and one of 1 voxel, both in the first patch; the second patch has none."""
    reference = torch.zeros(SHAPE)
    reference[0, 0, 0:2, 0:2, 0:2] = 1
    reference[0, 0, 5, 5, 5] = 1
    return reference


def random_logits() -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(3))


def loss_of(name: str, *overrides: str) -> object:
    return build_loss(validated(TrainSettings, composed("train", f"loss={name}", *overrides)).loss)


def test_dice_and_cross_entropy_of_a_flat_answer() -> None:
    reference, p = two_lesions(), 0.2
    n, m = reference.numel(), 9.0
    dice = 1 - (2 * p * m + 1) / (p * n + m + 1)
    cross_entropy = -(m * math.log(p) + (n - m) * math.log(1 - p)) / n
    found = loss_of("dice_cross_entropy", "loss.dice_weight=2", "loss.cross_entropy_weight=3")(
        logits_of(p), reference
    )
    assert float(found) == pytest.approx(2 * dice + 3 * cross_entropy, rel=1e-5)


def test_blob_dice_is_the_mean_over_lesions_with_the_others_masked_out() -> None:
    reference, p = two_lesions(), 0.3
    background = 216 - 9
    large = 1 - (2 * 8 * p + 1) / ((background + 8) * p + 8 + 1)
    small = 1 - (2 * 1 * p + 1) / ((background + 1) * p + 1 + 1)
    found = float(blob_dice(logits_of(p), reference))
    assert found == pytest.approx((large + small) / 2, rel=1e-5)


def test_blob_dice_agrees_with_masking_out_by_hand_and_has_its_gradient() -> None:
    reference = two_lesions()
    first, second = torch.zeros(SHAPE), torch.zeros(SHAPE)
    first[0, 0, 0:2, 0:2, 0:2] = 1
    second[0, 0, 5, 5, 5] = 1

    def by_hand(logits: torch.Tensor) -> torch.Tensor:
        probability = torch.sigmoid(logits)
        losses = []
        for lesion, other in ((first, second), (second, first)):
            p, g = (probability * (1 - other))[0], lesion[0]
            losses.append(1 - (2 * (p * g).sum() + 1) / (p.sum() + g.sum() + 1))
        return torch.stack(losses).mean()

    ours, theirs = random_logits().requires_grad_(), random_logits().requires_grad_()
    found, expected = blob_dice(ours, reference), by_hand(theirs)
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_a_missed_small_lesion_costs_blob_dice_as_much_as_a_missed_large_one() -> None:
    reference = two_lesions()
    without_small, without_large = reference.clone(), reference.clone()
    without_small[0, 0, 5, 5, 5] = 0
    without_large[0, 0, :2, :2, :2] = 0
    small, large = (
        float(blob_dice((mask * 2 - 1) * 20, reference)) for mask in (without_small, without_large)
    )
    # 1 - s / (|L| + s) of the missed one, half of it: 1/4 and 4/9; Dice would say 0.06 and 0.8.
    assert small == pytest.approx(0.25, abs=1e-4)
    assert large == pytest.approx(4 / 9, abs=1e-4)


def test_focal_cross_entropy_is_monais_and_at_gamma_0_half_the_cross_entropy() -> None:
    reference, logits = two_lesions(), random_logits()
    ours = focal_cross_entropy(logits, reference, gamma=2.0, lesion_weight=0.75)
    theirs = FocalLoss(gamma=2.0, alpha=0.75, include_background=True)(logits, reference)
    torch.testing.assert_close(ours, theirs)
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, reference)
    flat = focal_cross_entropy(logits, reference, gamma=0.0, lesion_weight=0.5)
    torch.testing.assert_close(2 * flat, plain)


def test_tversky_is_monais_and_with_equal_weights_the_dice_loss() -> None:
    reference, logits = two_lesions(), random_logits()
    weights = {"false_positive_weight": 0.3, "false_negative_weight": 0.7}
    ours = focal_tversky(logits, reference, **weights, exponent=1.0)
    theirs = TverskyLoss(
        sigmoid=True, alpha=0.3, beta=0.7, smooth_nr=1.0, smooth_dr=1.0, batch=True
    )(logits, reference)
    torch.testing.assert_close(ours, theirs)
    power = focal_tversky(logits, reference, **weights, exponent=0.75)
    torch.testing.assert_close(power, theirs**0.75)
    p = torch.sigmoid(logits)
    dice = 1 - (2 * (p * reference).sum() + 2) / (p.sum() + reference.sum() + 2)
    equal = {"false_positive_weight": 0.5, "false_negative_weight": 0.5}
    torch.testing.assert_close(focal_tversky(logits, reference, **equal, exponent=1.0), dice)


@pytest.mark.parametrize("name", ["dice_cross_entropy", "dice_focal", "tversky", "blob"])
def test_without_lesions_silence_is_free_and_noise_is_not(name: str) -> None:
    loss, nothing = loss_of(name), torch.zeros(SHAPE)
    silent = loss(torch.full(SHAPE, -30.0), nothing)
    noisy = loss(logits_of(0.3), nothing)
    assert float(silent) == pytest.approx(0.0, abs=1e-3)
    assert float(noisy) > 0.1
    logits = logits_of(0.3).requires_grad_()
    loss(logits, nothing).backward()
    assert logits.grad is not None
    assert (logits.grad > 0).all()  # every voxel is told to be less sure


@pytest.mark.parametrize("name", ["dice_cross_entropy", "dice_focal", "tversky", "blob"])
def test_a_perfect_answer_costs_nothing_and_its_gradient_is_finite(name: str) -> None:
    reference = two_lesions()
    logits = ((reference * 2 - 1) * 30).requires_grad_()
    found = loss_of(name)(logits, reference)
    assert float(found.detach()) == pytest.approx(0.0, abs=1e-3)
    found.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_a_loss_of_nothing_is_refused() -> None:
    from lesion_dynamics.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="at least one of cross_entropy_weight"):
        loss_of("dice_cross_entropy", "loss.dice_weight=0", "loss.cross_entropy_weight=0")


def test_lesions_that_touch_by_a_corner_are_one() -> None:
    corner = torch.zeros(1, 1, 4, 4, 4)
    corner[0, 0, 0, 0, 0] = corner[0, 0, 1, 1, 1] = 1
    p = 0.5
    expected = 1 - (2 * 2 * p + 1) / (64 * p + 2 + 1)
    assert float(blob_dice(torch.zeros(1, 1, 4, 4, 4), corner)) == pytest.approx(expected)
    assert np.isfinite(expected)
