"""Losses for small and absent lesions. Every one takes logits and a reference of 0 and 1, both
(batch, 1, x, y, z) float32, and returns one number.

Overlap terms are taken once over the whole batch: a patch without lesions then counts by its
false positives, where a Dice of its own would be about 1 for a perfect answer. The smoothing of
1 voxel makes an empty, wholly unanswered batch a loss of 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import torch
from monai.losses import DiceLoss
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from lesion_dynamics.lesions.operating_point import label_lesions
from lesion_dynamics.settings.losses import (
    BlobSettings,
    DiceCrossEntropySettings,
    DiceFocalSettings,
    LossSettings,
    TverskySettings,
)
from lesion_dynamics.settings.operating_point import LESION_CONNECTIVITY

Loss = Callable[[Tensor, Tensor], Tensor]
_SMOOTHING_VOXELS = 1.0


def build_loss(settings: LossSettings) -> Loss:
    """The loss that ``settings`` names."""
    dice = DiceLoss(
        sigmoid=True, batch=True, smooth_nr=_SMOOTHING_VOXELS, smooth_dr=_SMOOTHING_VOXELS
    )
    if isinstance(settings, DiceCrossEntropySettings):
        return _sum(
            (settings.dice_weight, dice),
            (settings.cross_entropy_weight, binary_cross_entropy_with_logits),
        )
    if isinstance(settings, DiceFocalSettings):

        def focal(logits: Tensor, reference: Tensor) -> Tensor:
            return focal_cross_entropy(
                logits, reference, gamma=settings.gamma, lesion_weight=settings.lesion_weight
            )

        return _sum((settings.dice_weight, dice), (settings.focal_weight, focal))
    if isinstance(settings, TverskySettings):

        def tversky(logits: Tensor, reference: Tensor) -> Tensor:
            return focal_tversky(
                logits,
                reference,
                false_positive_weight=settings.false_positive_weight,
                false_negative_weight=settings.false_negative_weight,
                exponent=settings.exponent,
            )

        return _sum(
            (settings.tversky_weight, tversky),
            (settings.cross_entropy_weight, binary_cross_entropy_with_logits),
        )
    if isinstance(settings, BlobSettings):
        return _sum(
            (settings.dice_weight, dice),
            (settings.cross_entropy_weight, binary_cross_entropy_with_logits),
            (settings.blob_weight, blob_dice),
        )
    assert_never(settings)


def focal_cross_entropy(
    logits: Tensor, reference: Tensor, *, gamma: float, lesion_weight: float
) -> Tensor:
    """Mean over voxels of a (1 - q)^gamma * -ln q, q the probability given to the truth and a
    `lesion_weight` for lesion, 1 minus it elsewhere (Lin et al., arXiv 1708.02002, eq. 5).
    """
    cross_entropy = binary_cross_entropy_with_logits(logits, reference, reduction="none")
    wrong = torch.sigmoid(torch.where(reference > 0, -logits, logits))
    weight = torch.where(reference > 0, lesion_weight, 1.0 - lesion_weight)
    return (weight * wrong**gamma * cross_entropy).mean()


def focal_tversky(
    logits: Tensor,
    reference: Tensor,
    *,
    false_positive_weight: float,
    false_negative_weight: float,
    exponent: float,
) -> Tensor:
    """(1 - T)^exponent, T = (TP + s) / (TP + a FP + b FN + s) over the batch, s = 1 voxel.

    Empty reference: T = s / (a FP + s), so false positives cost and silence costs nothing.
    """
    probability = torch.sigmoid(logits)
    true_positive = (probability * reference).sum()
    false_positive = probability.sum() - true_positive
    false_negative = reference.sum() - true_positive
    index = (true_positive + _SMOOTHING_VOXELS) / (
        true_positive
        + false_positive_weight * false_positive
        + false_negative_weight * false_negative
        + _SMOOTHING_VOXELS
    )
    # The floor keeps the gradient of a power below 1 finite at a perfect answer.
    return (1.0 - index).clamp_min(1e-6) ** exponent


def blob_dice(logits: Tensor, reference: Tensor) -> Tensor:
    """Mean over lesions of the Dice loss of one lesion, the other lesions masked out.

    For lesion L of a patch with background B and probabilities p,
    1 - (2 sum_L p + s) / (sum_L p + sum_B p + |L| + s), s = 1 voxel: Kofler et al. 2022, arXiv
    2205.08209, with lesions as everywhere here (26-connectivity). All lesions of the batch count
    alike. No lesion in the batch: 0.
    """
    losses = [
        one
        for probability, mask in zip(torch.sigmoid(logits), reference, strict=True)
        for one in _dice_of_each_lesion(probability[0], mask[0])
    ]
    return torch.stack(losses).mean() if losses else logits.sum() * 0.0


def _dice_of_each_lesion(probability: Tensor, mask: Tensor) -> Tensor:
    labels, count = label_lesions(mask.detach().cpu().numpy(), connectivity=LESION_CONNECTIVITY)
    if count == 0:
        return probability.new_zeros(0)
    where = torch.from_numpy(labels.ravel()).to(probability.device, torch.int64)
    sums = probability.new_zeros(count + 1).index_add(0, where, probability.reshape(-1))
    sizes = torch.bincount(where.cpu(), minlength=count + 1)[1:].to(sums)
    overlap = 2.0 * sums[1:] + _SMOOTHING_VOXELS
    return 1.0 - overlap / (sums[1:] + sums[0] + sizes + _SMOOTHING_VOXELS)


def _sum(*terms: tuple[float, Loss]) -> Loss:
    """Weighted sum; a term of weight 0 is not computed."""
    used = [(weight, term) for weight, term in terms if weight]

    def total(logits: Tensor, reference: Tensor) -> Tensor:
        parts = [weight * term(logits, reference) for weight, term in used]
        return torch.stack(parts).sum()

    return total
