"""Instance or batch normalisation with PReLU or leaky ReLU as one step, on processors in bf16.

torch's two take about half of a light UNet's training step where the channels lie side by side
(torch 2.13), and make its convolutions slower by a half where they do not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lesion_dynamics.segmenter.norm_kernels import (
    PARTS,
    activated,
    gradient_moments,
    input_gradient,
    moments,
)

_VOLUMES = 5  # dimensions of a batch of activations


class QuickNormPReLU(nn.Module):
    """Normalise, then activate: the same function, parameters and state as the two it is given."""

    def __init__(self, normalise: nn.InstanceNorm3d, activate: nn.PReLU) -> None:
        super().__init__()
        self.N = normalise
        self.A = activate

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, channels, x, y, z)."""
        if is_quick(inputs) and inputs[0, 0].numel() > 1:
            result: Tensor = _NormPReLU.apply(inputs, self.A.weight, self.N.eps)  # type: ignore[no-untyped-call]
            return result
        activated: Tensor = self.A(self.N(inputs))
        return activated


class NormalisedConvTranspose3d(nn.ConvTranspose3d):
    """A transposed convolution before a normalisation, which takes its bias away again.

    While training its bias is left out and gets the gradient that it has, 0: to sum that takes
    longer than the rest of the backward pass.
    """

    def forward(self, inputs: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(batch, channels, x, y, z)."""
        if not is_quick(inputs) or self.bias is None or output_size is not None:
            return super().forward(inputs, output_size)
        result = nn.functional.conv_transpose3d(
            inputs, self.weight, None, self.stride, self.padding, self.output_padding,  # type: ignore[arg-type]
            self.groups, self.dilation,
        )  # fmt: skip
        unchanged: Tensor = _NoEffect.apply(result, self.bias)  # type: ignore[no-untyped-call]
        return unchanged


def is_quick(inputs: Tensor) -> bool:
    """Training in bf16 on a processor, the channels of a voxel side by side."""
    return (
        torch.is_grad_enabled()
        and inputs.dtype is torch.bfloat16
        and inputs.device.type == "cpu"
        and inputs.ndim == _VOLUMES
        and inputs.is_contiguous(memory_format=torch.channels_last_3d)
    )


def with_quick_norm(network: nn.Module) -> nn.Module:
    """The network with every pair of both in it replaced; parameters and names stay the same."""
    for name, child in network.named_children():
        # Dropout of nothing, which MONAI puts between them, is left out.
        parts = {key: part for key, part in child.named_children() if not _drops_nothing(part)}
        if list(parts) == ["N", "A"] and _is_plain(parts["N"], parts["A"]):
            setattr(network, name, QuickNormPReLU(parts["N"], parts["A"]))  # type: ignore[arg-type]
            before = getattr(network, "conv", None)  # as MONAI names it
            if type(before) is nn.ConvTranspose3d:
                # The very same module with another forward: weights, names and settings stay.
                before.__class__ = NormalisedConvTranspose3d
        else:
            with_quick_norm(child)
    return network


def _drops_nothing(part: nn.Module) -> bool:
    return isinstance(part, nn.Dropout) and part.p == 0


def _is_plain(normalise: nn.Module, activate: nn.Module) -> bool:
    return (
        isinstance(normalise, nn.InstanceNorm3d)
        and not normalise.affine
        and not normalise.track_running_stats
        and isinstance(activate, nn.PReLU)
        and activate.num_parameters == 1
    )


class _NoEffect(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, parameter: Tensor) -> Tensor:
        ctx.save_for_backward(parameter)
        return inputs.view_as(inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        (parameter,) = ctx.saved_tensors
        return gradient, torch.zeros_like(parameter)


class _NormPReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        result, ctx.lines = normalised_and_activated(inputs, epsilon=epsilon, slope=float(weight))
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        inputs, weight = ctx.saved_tensors
        found = gradients(inputs, gradient, lines=ctx.lines, slope=float(weight))
        return found.of_inputs, torch.full_like(weight, float(found.of_slope.sum())), None


def normalised_and_activated(
    inputs: Tensor,
    *,
    epsilon: float,
    slope: float,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    over_batch: bool = False,
) -> tuple[Tensor, NDArray[np.float32]]:
    """Instance normalisation, then PReLU or leaky ReLU, of (batch, channels, x, y, z) bf16.

    weight, bias : (channels,) float32 of the normalisation, where it has them.
    over_batch : one mean and deviation for the whole batch: batch normalisation while training.

    Returns
    -------
    The activation, and the lines that :func:`gradients` wants.
    """
    given = bits_of(inputs)
    batch, voxels, channels = given.shape
    sums = np.empty((batch * PARTS, 2, channels))
    shared_out(lambda first, last: moments(given, first, last, sums), batch)
    mean, square = means_of(sums, batch, voxels, over_batch=over_batch)
    scale = 1 / np.sqrt(np.maximum(square - mean**2, 0) + epsilon)
    factor = scale if weight is None else scale * weight.detach().numpy()
    offset = (0 if bias is None else bias.detach().numpy()) - mean * factor
    lines = np.stack([scale, -mean * scale, factor, offset], axis=1).astype(np.float32)
    line, shift = np.ascontiguousarray(lines[:, 2]), np.ascontiguousarray(lines[:, 3])
    result = torch.empty_like(inputs, memory_format=torch.channels_last_3d)
    out = bits_of(result)
    shared_out(lambda a, b: activated(given, a, b, line, shift, slope, out), batch)
    return result, lines


@dataclass(frozen=True)
class Gradients:
    """of_inputs : as the inputs. of_weight, of_bias : (channels,), of the normalisation;
    of_slope : (channels,), of the activation.
    """

    of_inputs: Tensor
    of_weight: NDArray[np.float64]
    of_bias: NDArray[np.float64]
    of_slope: NDArray[np.float64]


def gradients(
    inputs: Tensor,
    gradient: Tensor,
    *,
    lines: NDArray[np.float32],
    slope: float,
    over_batch: bool = False,
) -> Gradients:
    """What :func:`normalised_and_activated` passes back."""
    coming = gradient.contiguous(memory_format=torch.channels_last_3d)
    given, above = bits_of(inputs), bits_of(coming)
    batch, voxels, channels = given.shape
    sums = np.empty((batch * PARTS, 3, channels))
    shared_out(lambda a, b: gradient_moments(given, above, a, b, lines, slope, sums), batch)
    plain, times, of_slope = means_of(sums, batch, voxels, over_batch=over_batch)
    means = np.stack([plain, times], axis=1).astype(np.float32)
    result = torch.empty_like(inputs, memory_format=torch.channels_last_3d)
    out = bits_of(result)
    shared_out(lambda a, b: input_gradient(given, above, a, b, lines, slope, means, out), batch)
    totals = (one.sum(axis=0) * voxels for one in (times, plain, of_slope))
    return Gradients(result, *totals)


def bits_of(activation: Tensor) -> NDArray[np.uint16]:
    """(batch, voxels, channels) of a bf16 activation whose channels lie side by side."""
    batch, channels = activation.shape[:2]
    rows = activation.detach().permute(0, 2, 3, 4, 1).reshape(batch, -1, channels)
    bits: NDArray[np.int16] = rows.view(torch.int16).numpy()
    return bits.view(np.uint16)


def means_of(
    sums: NDArray[np.float64], batch: int, voxels: int, *, over_batch: bool
) -> NDArray[np.float64]:
    """(kinds, batch, channels) of sums of pieces; with ``over_batch`` all of a batch the same."""
    totals: NDArray[np.float64] = sums.reshape(batch, PARTS, *sums.shape[1:]).sum(axis=1)
    if over_batch:
        totals = np.broadcast_to(totals.mean(axis=0), totals.shape)
    return totals.swapaxes(0, 1) / voxels


def shared_out(kernel: Callable[[int, int], None], batch: int) -> None:
    """Run ``kernel`` on every piece, shared out among as many threads as torch uses."""
    pieces, threads = batch * PARTS, min(torch.get_num_threads(), batch * PARTS)
    bounds = [pieces * turn // threads for turn in range(threads + 1)]
    others = [
        _threads(threads - 1).submit(kernel, bounds[turn], bounds[turn + 1])
        for turn in range(1, threads)
    ]
    kernel(0, bounds[1])
    for one in others:
        one.result()


@functools.cache
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="quick-norm")
