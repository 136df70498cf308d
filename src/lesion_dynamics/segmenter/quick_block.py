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

from lesion_dynamics.segmenter.joined_kernels import joined, parted
from lesion_dynamics.segmenter.quick_norm import (
    bits_of,
    gradients,
    is_quick,
    normalised_and_activated,
    shared_out,
)


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
        # Shapes that do not fit are told by torch: the kernel checks no bounds.
        fits = len(out) == len(skip) and out.shape[2:] == skip.shape[2:]
        quick = fits and is_quick(out) and is_quick(skip)
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
        result, lines = _NormLeakyReLU.apply(  # type: ignore[no-untyped-call]
            inputs, norm.weight, norm.bias, norm.eps, activate.negative_slope,
            isinstance(norm, nn.BatchNorm3d),
        )  # fmt: skip
        if isinstance(norm, nn.BatchNorm3d):
            _keep_statistics(norm, lines, voxels=inputs[:, 0].numel())
        found: Tensor = result
        return found
    plain: Tensor = activate(norm(inputs))
    return plain


def _is_plain(norm: nn.Module, activate: nn.Module) -> bool:
    """Both what MONAI puts there: an engine may have put something else, and so may hooks."""
    if type(norm) is nn.BatchNorm3d:
        plain = norm.track_running_stats and norm.training and norm.momentum is not None
    elif type(norm) is nn.InstanceNorm3d:
        plain = not norm.track_running_stats
    else:
        return False
    return (
        plain
        and norm.affine
        and norm.weight.dtype is torch.float32
        and type(activate) is nn.LeakyReLU
    )


@torch.no_grad()
def _keep_statistics(norm: nn.BatchNorm3d, lines: Tensor, *, voxels: int) -> None:
    """Running mean and variance as torch keeps them: what a trained network normalises with."""
    assert norm.momentum is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    scale, shift = lines[0, 0].double(), lines[0, 1].double()
    variance = (1 / scale**2 - norm.eps).clamp(min=0) * (voxels / (voxels - 1))
    norm.running_mean.lerp_((-shift / scale).float(), norm.momentum)
    norm.running_var.lerp_(variance.float(), norm.momentum)
    norm.num_batches_tracked += 1


class _NormLeakyReLU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, epsilon: float, slope: float,
        over_batch: bool,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        ctx.save_for_backward(inputs)
        ctx.slope, ctx.over_batch = slope, over_batch
        result, ctx.lines = normalised_and_activated(
            inputs, epsilon=epsilon, slope=slope, weight=weight, bias=bias, over_batch=over_batch
        )
        lines = torch.from_numpy(ctx.lines)
        ctx.mark_non_differentiable(lines)
        return result, lines

    @staticmethod
    def backward(
        ctx: Any, gradient: Tensor, _: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        (inputs,) = ctx.saved_tensors
        found = gradients(
            inputs, gradient, lines=ctx.lines, slope=ctx.slope, over_batch=ctx.over_batch
        )
        of_weight, of_bias = (
            torch.from_numpy(one.astype(np.float32)) for one in (found.of_weight, found.of_bias)
        )
        return found.of_inputs, of_weight, of_bias, None, None, None


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
