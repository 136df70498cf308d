"""The networks that can be trained, by name. They travel in the model version."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from lesion_dynamics.settings.strict import Strict

Channels = Annotated[int, Field(ge=1)]
Blocks = Annotated[int, Field(ge=1)]


class UNetSettings(Strict):
    """MONAI's residual UNet, strided at its first convolution: light and quick.

    channels : feature channels a level; strides : between the levels; residual_units : a level.
    head_channels : features before the last 1 x 1 x 1 convolution.
    """

    name: Literal["unet"] = "unet"
    channels: tuple[Channels, ...] = Field(min_length=2)
    strides: tuple[int, ...] = Field(min_length=1)
    residual_units: int = Field(ge=0)
    head_channels: Channels

    @model_validator(mode="after")
    def _one_stride_between_levels(self) -> UNetSettings:
        if len(self.strides) != len(self.channels) - 1:
            raise ValueError(f"{len(self.channels)} levels need {len(self.channels) - 1} strides")
        return self

    @property
    def divisor(self) -> int:
        """Edges of patches and windows are multiples of this."""
        return math.prod(self.strides)


class DynUNetSettings(Strict):
    """MONAI's DynUNet (nnU-Net's network) with a stem at full resolution.

    channels : feature channels a level, each level at half the resolution of the one before.
    head_channels : features before the last 1 x 1 x 1 convolution.
    residual : residual blocks instead of plain ones.
    deep_supervision : lower levels that answer too while training; 0 is none.
    norm : instance normalisation takes mean and deviation of every feature over the patch or scan
        at hand, so that what it holds elsewhere counts everywhere; batch normalisation keeps
        those of the training (Ioffe and Szegedy, arXiv 1502.03167), whatever the scan holds and
        however large the window is. Batches of one or two make a poor estimate of them.
    """

    name: Literal["dynunet"] = "dynunet"
    channels: tuple[Channels, ...] = Field(min_length=3)
    head_channels: Channels
    residual: bool
    deep_supervision: int = Field(default=0, ge=0)
    norm: Literal["instance", "batch"] = "instance"

    @model_validator(mode="after")
    def _levels_left_to_answer(self) -> DynUNetSettings:
        if self.deep_supervision > len(self.channels) - 2:
            raise ValueError(
                f"deep_supervision is at most {len(self.channels) - 2} with "
                f"{len(self.channels)} levels"
            )
        return self

    @property
    def divisor(self) -> int:
        """Edges of patches and windows are multiples of this."""
        return 1 << (len(self.channels) - 1)


class SegResNetSettings(Strict):
    """MONAI's SegResNetDS (Myronenko, arXiv 1810.11654, as in MONAI's Auto3DSeg).

    init_filters : channels of the first level, doubled with each level.
    blocks_down : residual blocks a level; their number is the number of levels.
    head_channels : features before the last 1 x 1 x 1 convolution.
    deep_supervision : lower levels that answer too while training; 0 is none.
    """

    name: Literal["segresnet"] = "segresnet"
    init_filters: Channels
    blocks_down: tuple[Blocks, ...] = Field(min_length=2)
    head_channels: Channels
    deep_supervision: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _levels_left_to_answer(self) -> SegResNetSettings:
        if self.deep_supervision > len(self.blocks_down) - 2:
            raise ValueError(
                f"deep_supervision is at most {len(self.blocks_down) - 2} with "
                f"{len(self.blocks_down)} levels"
            )
        return self

    @property
    def divisor(self) -> int:
        """Edges of patches and windows are multiples of this."""
        return 1 << (len(self.blocks_down) - 1)


class SwinUNETRSettings(Strict):
    """MONAI's SwinUNETR (Hatamizadeh et al., arXiv 2201.01266). Heavy: meant for GPUs.

    feature_size : channels of the first level, a multiple of 12.
    depths, heads : transformer blocks and attention heads of the four stages.
    head_channels : features before the last 1 x 1 x 1 convolution.
    """

    name: Literal["swinunetr"] = "swinunetr"
    feature_size: int = Field(ge=12, multiple_of=12)
    depths: tuple[Blocks, Blocks, Blocks, Blocks]
    heads: tuple[Blocks, Blocks, Blocks, Blocks]
    head_channels: Channels

    @property
    def divisor(self) -> int:
        """Edges of patches and windows are multiples of this; patches are at least twice it."""
        return 32


class MedNeXtSettings(Strict):
    """MONAI's MedNeXt (Roy et al., arXiv 2303.09975).

    init_filters : channels of the first level, doubled with each level.
    expansion : of the channels inside every block. kernel_size : of the depthwise convolution.
    blocks : blocks of every level on the way down and up; their number is the number of halvings.
    blocks_bottleneck : blocks of the lowest level.
    head_channels : features before the last 1 x 1 x 1 convolution.
    deep_supervision : every lower level answers too while training.
    """

    name: Literal["mednext"] = "mednext"
    init_filters: Channels
    expansion: int = Field(ge=1)
    kernel_size: Literal[3, 5, 7]
    blocks: tuple[Blocks, ...] = Field(min_length=2)
    blocks_bottleneck: Blocks
    head_channels: Channels
    deep_supervision: bool

    @property
    def divisor(self) -> int:
        """Edges of patches and windows are multiples of this."""
        return 1 << len(self.blocks)


NetworkSettings = Annotated[
    UNetSettings | DynUNetSettings | SegResNetSettings | SwinUNETRSettings | MedNeXtSettings,
    Field(discriminator="name"),
]
