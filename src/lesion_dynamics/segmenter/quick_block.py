"""MONAI's blocks of the DynUNet, normalisation and leaky ReLU in one step, in bf16 on processors.

The two took a third of a training step, with the copies from channels side by side to one channel
after another and back that torch's instance normalisation makes (torch 2.13).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.networks.blocks.dynunet_block import UnetBasicBlock, UnetUpBlock
from torch import Tensor, nn

from lesion_dynamics.segmenter.affine_norm_kernels import (
    affine_gradient_moments,
    affine_input_gradient,
)
from lesion_dynamics.segmenter.joined_kernels import joined, parted
from lesion_dynamics.segmenter.norm_kernels import PARTS, activated, moments
from lesion_dynamics.segmenter.quick_norm import bits_of, is_quick, means_of, shared_out


class QuickBasicBlock(UnetBasicBlock):
    """The same function, parameters and state as `UnetBasicBlock`."""

    def forward(self, inp: Tensor) -> Tensor:
        """(batch, channels, x, y, z)."""
        out = _normalised(self.norm1, self.lrelu, self.conv1(inp))
        return _normalised(self.norm2, self.lrelu, self.conv2(out))


class QuickUpBlock(UnetUpBlock):
    """The same function, parameters and state as `UnetUpBlock`."""

    def forward(self, inp: Tensor, skip: Tensor) -> Tensor:
        """(batch, channels, x, y, z), and the same of twice the size."""
        out = self.transp_conv(inp)
        quick = is_quick(out) and is_quick(skip)
        both = _Joined.apply(out, skip) if quick else torch.cat((out, skip), dim=1)  # type: ignore[no-untyped-call]
        result: Tensor = self.conv_block(both)
        return result


def with_quick_blocks(network: nn.Module) -> nn.Module:
    """The network, every basic and up block in it with the quick forward pass.

    They stay the very same modules: weights, names and settings are untouched.
    """
    quick: dict[type[nn.Module], type[nn.Module]] = {
        UnetBasicBlock: QuickBasicBlock, UnetUpBlock: QuickUpBlock
    }  # fmt: skip
    for module in network.modules():
        if type(module) in quick:
            module.__class__ = quick[type(module)]
    return network


def _normalised(norm: nn.Module, activate: nn.Module, inputs: Tensor) -> Tensor:
    if is_quick(inputs) and inputs[0, 0].numel() > 1 and _is_plain(norm, activate):
        result: Tensor = _NormLeakyReLU.apply(  # type: ignore[no-untyped-call]
            inputs, norm.weight, norm.bias, norm.eps, activate.negative_slope
        )
        return result
    plain: Tensor = activate(norm(inputs))
    return plain


def _is_plain(norm: nn.Module, activate: nn.Module) -> bool:
    """Both what MONAI puts there: an engine may have put something else, and so may hooks."""
    return (
        type(norm) is nn.InstanceNorm3d
        and norm.affine
        and not norm.track_running_stats
        and norm.weight.dtype is torch.float32
        and type(activate) is nn.LeakyReLU
    )


class _NormLeakyReLU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, epsilon: float, slope: float
    ) -> Tensor:
        given = bits_of(inputs)
        batch, voxels, channels = given.shape
        sums = np.empty((batch * PARTS, 2, channels))
        shared_out(lambda first, last: moments(given, first, last, sums), batch)
        mean, square = means_of(sums, batch, voxels)
        scale = 1 / np.sqrt(np.maximum(square - mean**2, 0) + epsilon)
        factor = scale * weight.detach().numpy()
        offset = bias.detach().numpy() - mean * factor
        lines = np.stack([scale, -mean * scale, factor, offset], axis=1).astype(np.float32)
        line, shift = np.ascontiguousarray(lines[:, 2]), np.ascontiguousarray(lines[:, 3])
        result = torch.empty_like(inputs, memory_format=torch.channels_last_3d)
        out = bits_of(result)
        shared_out(lambda a, b: activated(given, a, b, line, shift, slope, out), batch)
        ctx.save_for_backward(inputs)
        ctx.lines, ctx.slope = lines, slope
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        (inputs,) = ctx.saved_tensors
        lines, slope = ctx.lines, ctx.slope
        coming = gradient.contiguous(memory_format=torch.channels_last_3d)
        given, above = bits_of(inputs), bits_of(coming)
        batch, voxels, channels = given.shape
        sums = np.empty((batch * PARTS, 2, channels))
        shared_out(
            lambda a, b: affine_gradient_moments(given, above, a, b, lines, slope, sums), batch
        )
        plain, times = means_of(sums, batch, voxels)
        means = np.stack([plain, times], axis=1).astype(np.float32)
        result = torch.empty_like(inputs, memory_format=torch.channels_last_3d)
        out = bits_of(result)
        shared_out(
            lambda a, b: affine_input_gradient(given, above, a, b, lines, slope, means, out), batch
        )
        of_weight, of_bias = (
            torch.from_numpy((one.sum(axis=0) * voxels).astype(np.float32))
            for one in (times, plain)
        )
        return result, of_weight, of_bias, None, None


class _Joined(torch.autograd.Function):
    """`torch.cat` of channels, whose gradients are not pieces of one that others must copy."""

    @staticmethod
    def forward(ctx: Any, one: Tensor, other: Tensor) -> Tensor:
        ctx.channels = one.shape[1], other.shape[1]
        result = _like(one, sum(ctx.channels))
        left, right, out = bits_of(one), bits_of(other), bits_of(result)
        shared_out(lambda a, b: joined(left, right, a, b, out), len(one))
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        coming = gradient.contiguous(memory_format=torch.channels_last_3d)
        one, other = (_like(coming, channels) for channels in ctx.channels)
        both, left, right = bits_of(coming), bits_of(one), bits_of(other)
        shared_out(lambda a, b: parted(both, a, b, left, right), len(coming))
        return one, other


def _like(activation: Tensor, channels: int) -> Tensor:
    shape = (len(activation), channels, *activation.shape[2:])
    return torch.empty(shape, dtype=activation.dtype, memory_format=torch.channels_last_3d)
