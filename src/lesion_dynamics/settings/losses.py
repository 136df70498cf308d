"""The losses that a network can be trained with, by name."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lesion_dynamics.settings.strict import Strict

Weight = Annotated[float, Field(ge=0)]


class _Weighted(Strict):
    """A weighted sum of terms."""

    @model_validator(mode="after")
    def _something_is_learned(self) -> Self:
        terms = {name for name in type(self).model_fields if name.endswith("_weight")}
        terms -= {"lesion_weight", "false_positive_weight", "false_negative_weight"}
        if not any(getattr(self, name) for name in terms):
            raise ValueError(f"at least one of {', '.join(sorted(terms))} is above 0")
        return self


class DiceCrossEntropySettings(_Weighted):
    """Dice plus cross-entropy: Dice alone is about 1 on a patch without lesions."""

    name: Literal["dice_cross_entropy"] = "dice_cross_entropy"
    dice_weight: Weight
    cross_entropy_weight: Weight


class DiceFocalSettings(_Weighted):
    """Dice plus focal cross-entropy (Lin et al., arXiv 1708.02002): easy voxels count for little.

    gamma : how little; 0 is cross-entropy. lesion_weight : of lesion voxels, 1 minus it of the
    others; 0.5 weights both alike (and halves cross-entropy).
    """

    name: Literal["dice_focal"] = "dice_focal"
    dice_weight: Weight
    focal_weight: Weight
    gamma: float = Field(ge=0, le=5)
    lesion_weight: float = Field(gt=0, lt=1)


class TverskySettings(_Weighted):
    """Focal Tversky (Salehi 2017, arXiv 1706.05721; Abraham 2018, arXiv 1810.07842) plus
    cross-entropy.

    false_positive_weight, false_negative_weight : 0.5 each is Dice; more weight on false
        negatives finds more lesions. exponent : of (1 - Tversky index); below 1 it keeps the
        gradient of patches that are nearly right.
    """

    name: Literal["tversky"] = "tversky"
    tversky_weight: Weight
    cross_entropy_weight: Weight
    false_positive_weight: float = Field(gt=0, le=1)
    false_negative_weight: float = Field(gt=0, le=1)
    exponent: float = Field(gt=0, le=3)


class BlobSettings(_Weighted):
    """Dice and cross-entropy over the patch plus the blob loss (Kofler et al. 2022, arXiv
    2205.08209): the mean Dice loss of the patch's lesions, each on its own, so that a small
    lesion counts as much as a large one.

    blob_weight : of the mean over lesions; 0 where the patch has none.
    """

    name: Literal["blob"] = "blob"
    dice_weight: Weight
    cross_entropy_weight: Weight
    blob_weight: Weight


LossSettings = Annotated[
    DiceCrossEntropySettings | DiceFocalSettings | TverskySettings | BlobSettings,
    Field(discriminator="name"),
]
