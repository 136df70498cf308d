"""Networks by name. Every network ends in one logit a voxel."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import assert_never

import torch
from monai.networks.blocks.convolutions import Convolution, ResidualUnit
from monai.networks.blocks.dynunet_block import UnetBasicBlock, UnetResBlock
from monai.networks.blocks.mednext_block import MedNeXtBlock
from monai.networks.nets import DynUNet, MedNeXt, SegResNetDS, SwinUNETR, UNet
from monai.networks.nets.segresnet_ds import SegResBlock
from monai.networks.nets.swin_unetr import BasicLayer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.utils.checkpoint import checkpoint

from lesion_dynamics.segmenter.quick_block import with_quick_blocks
from lesion_dynamics.segmenter.quick_norm import with_quick_norm
from lesion_dynamics.segmenter.quick_prelu import with_quick_prelu
from lesion_dynamics.settings.networks import (
    DynUNetSettings,
    MedNeXtSettings,
    NetworkSettings,
    SegResNetSettings,
    SwinUNETRSettings,
    UNetSettings,
)

_BLOCKS = (ResidualUnit, UnetBasicBlock, UnetResBlock, SegResBlock, MedNeXtBlock, BasicLayer)
"""Parts of the backbones whose inner activations can be computed twice instead of kept."""

Computing = AbstractContextManager[None]

_NORMS = {"instance": ("INSTANCE", {"affine": True}), "batch": ("BATCH", {"affine": True})}
"""As MONAI names them."""


class LesionNetwork(nn.Module):
    """A backbone and a head of its own.

    The backbones normalise or activate their last feature map; with one channel that would
    fix the mean of the logit whatever the scan holds, so the backbone keeps several channels
    and a 1 x 1 x 1 convolution makes the logit.

    Input (batch, sequences, x, y, z); output (batch, 1, x, y, z) logits. Edges are multiples
    of `divisor`. While training, a backbone with deep supervision returns the features of lower
    levels too; the same head reads them.
    """

    def __init__(self, backbone: nn.Module, *, head_channels: int, divisor: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Conv3d(head_channels, 1, kernel_size=1)
        self.divisor = divisor

    def forward(self, inputs: Tensor) -> Tensor:
        """One logit a voxel."""
        return self.at_every_level(inputs)[0]

    def at_every_level(self, inputs: Tensor) -> list[Tensor]:
        """Logits of every level that answers, the finest first, all at full resolution.

        Levels are enlarged by repeating voxels: the backward pass of a linear interpolation has
        no deterministic form on GPUs.
        """
        levels = [self._logits(features) for features in _levels(self.backbone(inputs))]
        shape = levels[0].shape[2:]
        return [
            logits if logits.shape[2:] == shape else nn.functional.interpolate(logits, size=shape)
            for logits in levels
        ]

    def _logits(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(nn.functional.leaky_relu(features, negative_slope=0.01))
        return logits

    def start_at_lesion_prevalence(self, prevalence: float) -> None:
        """Set the head's bias so that an untrained network answers ``prevalence`` everywhere."""
        bias = self.head.bias
        assert bias is not None
        with torch.no_grad():
            bias.fill_(math.log(prevalence / (1.0 - prevalence)))

    def recompute_activations(self) -> None:
        """Keep only what goes into each block while training, and compute the inside again.

        Less memory for more time; the gradients are the same, and so are the statistics that
        batch normalisation keeps: a batch counts once.
        """
        for block in _outermost(self.backbone):
            block.forward = functools.partial(
                checkpoint, block.forward, use_reentrant=False,
                context_fn=functools.partial(_once_and_again, block),
            )  # fmt: skip


def build_network(settings: NetworkSettings, *, input_channels: int) -> LesionNetwork:
    """The network that ``settings`` names, with fresh weights."""
    return LesionNetwork(
        _backbone(settings, input_channels),
        head_channels=settings.head_channels,
        divisor=settings.divisor,
    )


def _levels(features: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    if isinstance(features, Tensor):
        # DynUNet stacks its levels, enlarged by itself: (batch, levels, channels, x, y, z).
        return features.unbind(dim=1) if features.ndim == 6 else [features]
    return features


def _outermost(module: nn.Module) -> list[nn.Module]:
    """The checkpointable blocks of a backbone, none inside another."""
    if isinstance(module, _BLOCKS) or (isinstance(module, Convolution) and len(module) > 1):
        return [module]
    return [block for child in module.children() for block in _outermost(child)]


def _once_and_again(block: nn.Module) -> tuple[Computing, Computing]:
    """Around the first computation of a block, and around the second."""
    return nullcontext(), _statistics_unchanged(block)


@contextmanager
def _statistics_unchanged(block: nn.Module) -> Iterator[None]:
    norms = [one for one in block.modules() if isinstance(one, BatchNorm)]
    kept = [(one, one.momentum, one.num_batches_tracked) for one in norms]
    for one in norms:
        one.momentum = 0.0
        one.num_batches_tracked = torch.tensor(0)
    try:
        yield
    finally:
        for one, momentum, batches in kept:
            one.momentum, one.num_batches_tracked = momentum, batches


def _backbone(settings: NetworkSettings, input_channels: int) -> nn.Module:
    if isinstance(settings, UNetSettings):
        return _unet(settings, input_channels)
    if isinstance(settings, DynUNetSettings):
        return _dynunet(settings, input_channels)
    if isinstance(settings, SegResNetSettings):
        return _segresnet(settings, input_channels)
    if isinstance(settings, SwinUNETRSettings):
        return _swinunetr(settings, input_channels)
    if isinstance(settings, MedNeXtSettings):
        return _mednext(settings, input_channels)
    assert_never(settings)


def _unet(settings: UNetSettings, input_channels: int) -> nn.Module:
    backbone: nn.Module = UNet(
        spatial_dims=3,
        in_channels=input_channels,
        out_channels=settings.head_channels,
        channels=settings.channels,
        strides=settings.strides,
        num_res_units=settings.residual_units,
    )
    return with_quick_norm(with_quick_prelu(backbone))


def _dynunet(settings: DynUNetSettings, input_channels: int) -> nn.Module:
    levels = len(settings.channels)
    strides = [1] + [2] * (levels - 1)
    backbone: nn.Module = DynUNet(
        spatial_dims=3,
        in_channels=input_channels,
        out_channels=settings.head_channels,
        kernel_size=[3] * levels,
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=settings.channels,
        norm_name=_NORMS[settings.norm],
        res_block=settings.residual,
        deep_supervision=settings.deep_supervision > 0,
        deep_supr_num=max(settings.deep_supervision, 1),
    )
    return with_quick_blocks(backbone)


def _segresnet(settings: SegResNetSettings, input_channels: int) -> nn.Module:
    backbone: nn.Module = SegResNetDS(
        spatial_dims=3,
        in_channels=input_channels,
        out_channels=settings.head_channels,
        init_filters=settings.init_filters,
        blocks_down=settings.blocks_down,
        norm="instance",
        dsdepth=1 + settings.deep_supervision,
    )
    return backbone


def _swinunetr(settings: SwinUNETRSettings, input_channels: int) -> nn.Module:
    backbone: nn.Module = SwinUNETR(
        in_channels=input_channels,
        out_channels=settings.head_channels,
        feature_size=settings.feature_size,
        depths=settings.depths,
        num_heads=settings.heads,
    )
    return backbone


def _mednext(settings: MedNeXtSettings, input_channels: int) -> nn.Module:
    backbone: nn.Module = MedNeXt(
        spatial_dims=3,
        in_channels=input_channels,
        out_channels=settings.head_channels,
        init_filters=settings.init_filters,
        encoder_expansion_ratio=settings.expansion,
        decoder_expansion_ratio=settings.expansion,
        bottleneck_expansion_ratio=settings.expansion,
        kernel_size=settings.kernel_size,
        deep_supervision=settings.deep_supervision,
        use_residual_connection=True,
        blocks_down=settings.blocks,
        blocks_bottleneck=settings.blocks_bottleneck,
        blocks_up=settings.blocks,
    )
    return backbone
