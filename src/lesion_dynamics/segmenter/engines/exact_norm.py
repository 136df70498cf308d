"""Instance normalisation whose mean and variance hold over a whole brain, in two passes.

OpenVINO 2026.4 adds up a whole channel in one float32 number: over 160 x 160 x 160 voxels its mean
is off by 0.9% of a standard deviation and the deviation itself by 0.4% (torch sums in float64).
Here mean and variance come from slices and stay in float32, and the voxels are read three times
and written once: for both sums, and for one multiplication and addition.

In bf16, OpenVINO rounds whatever is computed, the factor and the summand of a channel too (0.4%
of its deviation). So the factor comes as the product of two bf16 numbers and the summand as the
sum of two, which are exact to four digits; inside one layer OpenVINO computes in float32.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)
STATISTICS = "statistics"
"""What the parts are called whose arithmetic stays in float32."""

_SLICE = (3, 4)
_KEEP_8_BITS = 65537.0
_CANDIDATES = 128


class ExactInstanceNorm(nn.Module):
    """The same as an `InstanceNorm3d`: ``x * scale + shift``, scale and shift of each channel.

    in_parts : scale and shift as two bf16 numbers each.
    """

    def __init__(self, norm: nn.InstanceNorm3d, *, in_parts: bool) -> None:
        super().__init__()
        self.add_module(STATISTICS, _Statistics(norm, in_parts=in_parts))

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, channels, x, y, z)."""
        mean = inputs.mean(_SLICE, keepdim=True)
        length = torch.linalg.vector_norm(inputs, dim=_SLICE, keepdim=True)
        found = getattr(self, STATISTICS)(mean, length, inputs.shape[3] * inputs.shape[4])
        scales, shifts = found[: len(found) // 2], found[len(found) // 2 :]
        answer = inputs
        for scale in scales:
            answer = answer * scale
        for shift in shifts:
            answer = answer + shift
        return answer


class _Statistics(nn.Module):
    """Scales and shifts from the means and the lengths of slices."""

    weight: Tensor
    bias: Tensor
    candidates: Tensor

    def __init__(self, norm: nn.InstanceNorm3d, *, in_parts: bool) -> None:
        super().__init__()
        self.eps, self.in_parts = norm.eps, in_parts
        weight = norm.weight.detach() if norm.affine else torch.ones(norm.num_features)
        bias = norm.bias.detach() if norm.affine else torch.zeros(norm.num_features)
        self.register_buffer("weight", weight.reshape(1, -1, 1, 1, 1).clone())
        self.register_buffer("bias", bias.reshape(1, -1, 1, 1, 1).clone())
        # All bf16 numbers of 1 to 2.
        self.register_buffer("candidates", 1 + torch.arange(_CANDIDATES) / _CANDIDATES)

    def forward(self, means: Tensor, lengths: Tensor, voxels: int) -> tuple[Tensor, ...]:
        """means, lengths : of every slice along x, (n, channels, x, 1, 1); of ``voxels`` each."""
        lengths = lengths * torch.rsqrt(torch.as_tensor(voxels).float())
        # The factor of 2 keeps OpenVINO from joining this mean with that of the slices.
        mean = (means * 2.0).mean(2, keepdim=True) * 0.5
        variance = (lengths * lengths).mean(2, keepdim=True) - mean * mean
        scale = torch.rsqrt(variance + self.eps) * self.weight
        shift = self.bias - mean * scale
        if not self.in_parts:
            return scale, shift
        high = _of_8_bits(shift)
        return (*self._factors(scale), high, _of_8_bits(shift - high))

    def _factors(self, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Two bf16 numbers whose product comes closest, (n, channels, 1, 1, 1) each."""
        other = _of_8_bits(scale / self.candidates)
        error = (other * self.candidates - scale).abs()
        best = (error <= error.amin(4, keepdim=True)).float()
        best = best * (best.cumsum(4) < 1.5).float()  # the first, where several are as close
        return (other * best).sum(4, keepdim=True), (self.candidates * best).sum(4, keepdim=True)


def _of_8_bits(values: Tensor) -> Tensor:
    """Rounded to what bf16 holds, without leaving float32 (Veltkamp's splitting)."""
    raised = values * _KEEP_8_BITS
    return raised - (raised - values)


def with_exact_norms(network: AnyModule, *, in_parts: bool) -> AnyModule:
    """A copy of a network with every `InstanceNorm3d` replaced."""
    changed = copy.deepcopy(network)
    for module in list(changed.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.InstanceNorm3d):
                setattr(module, name, ExactInstanceNorm(child, in_parts=in_parts))
    return changed
