"""Networks by name. Every network ends in one logit a voxel."""

from __future__ import annotations

import math
from typing import assert_never

import torch
from monai.networks.nets import DynUNet, UNet
from torch import Tensor, nn

from lesion_dynamics.settings.segmenter import DynUNetSettings, NetworkSettings, UNetSettings


class LesionNetwork(nn.Module):
    """A backbone and a head of its own.

    The backbones normalise or activate their last feature map; with one channel that would
    fix the mean of the logit whatever the scan holds, so the backbone keeps several channels
    and a 1 x 1 x 1 convolution makes the logit.

    Input (batch, sequences, x, y, z); output (batch, 1, x, y, z) logits. Edges are multiples
    of `divisor`.
    """

    def __init__(self, backbone: nn.Module, *, head_channels: int, divisor: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Conv3d(head_channels, 1, kernel_size=1)
        self.divisor = divisor

    def forward(self, inputs: Tensor) -> Tensor:
        """One logit a voxel."""
        features = nn.functional.leaky_relu(self.backbone(inputs), negative_slope=0.01)
        logits: Tensor = self.head(features)
        return logits

    def start_at_lesion_prevalence(self, prevalence: float) -> None:
        """Set the head's bias so that an untrained network answers ``prevalence`` everywhere."""
        bias = self.head.bias
        assert bias is not None
        with torch.no_grad():
            bias.fill_(math.log(prevalence / (1.0 - prevalence)))


def build_network(settings: NetworkSettings, *, input_channels: int) -> LesionNetwork:
    """The network that ``settings`` names, with fresh weights."""
    if isinstance(settings, UNetSettings):
        return _unet(settings, input_channels)
    if isinstance(settings, DynUNetSettings):
        return _dynunet(settings, input_channels)
    assert_never(settings)


def _unet(settings: UNetSettings, input_channels: int) -> LesionNetwork:
    backbone = UNet(
        spatial_dims=3,
        in_channels=input_channels,
        out_channels=settings.head_channels,
        channels=settings.channels,
        strides=settings.strides,
        num_res_units=settings.residual_units,
    )
    return LesionNetwork(
        backbone, head_channels=settings.head_channels, divisor=math.prod(settings.strides)
    )


def _dynunet(settings: DynUNetSettings, input_channels: int) -> LesionNetwork:
    levels = len(settings.channels)
    strides = [1] + [2] * (levels - 1)
    backbone = DynUNet(
        spatial_dims=3,
        in_channels=input_channels,
        out_channels=settings.head_channels,
        kernel_size=[3] * levels,
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=settings.channels,
        res_block=settings.residual,
    )
    return LesionNetwork(backbone, head_channels=settings.head_channels, divisor=math.prod(strides))
