"""Weights in bf16 whose rounding errors cancel within each kernel.

Rounding each weight to the nearest bf16 number was nearly all that was left of the difference
between bf16 and float32: a kernel's 27 errors add up, and its inputs hardly differ from voxel to
voxel. Here each weight takes over the errors of those before it in its kernel, as much as
neighbouring voxels agree (the rounding of optimal brain quantisation: Frantar et al. 2023,
arXiv:2210.17323, with a model of the inputs in place of data). On the shipped weights and a scan of
900 lesion voxels the error of probabilities near the threshold falls from 0.015 to 0.005, for no
time at all.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from lesion_dynamics.segmenter.networks import LesionNetwork

_AGREEMENT = 0.9
"""Correlation of activations one voxel apart. 0 would round to the nearest."""


def with_bf16_weights(network: LesionNetwork) -> LesionNetwork:
    """A copy of a network whose convolutions hold bf16 numbers, as float32."""
    changed = copy.deepcopy(network)
    with torch.no_grad():
        for module in changed.modules():
            if isinstance(module, nn.Conv3d):
                module.weight.copy_(rounded_together(module.weight))
            elif isinstance(module, nn.ConvTranspose3d):
                # Strides as wide as its kernel: no voxel sees two weights of one kernel.
                module.weight.copy_(module.weight.bfloat16())
    return changed


def rounded_together(weights: Tensor) -> Tensor:
    """Kernels (out, in, x, y, z) of bf16 numbers, as float32."""
    kernels = weights.detach().double().reshape(-1, weights[0, 0].numel()).clone()
    places = torch.stack(
        torch.meshgrid(*(torch.arange(n) for n in weights.shape[2:]), indexing="ij"), dim=-1
    ).reshape(-1, 3)
    apart = (places[:, None] - places[None]).abs().sum(dim=-1).double()
    spread = torch.linalg.cholesky(torch.linalg.inv(_AGREEMENT**apart), upper=True)
    rounded = torch.empty_like(kernels)
    for place in range(kernels.shape[1]):
        rounded[:, place] = kernels[:, place].to(torch.bfloat16).double()
        error = (kernels[:, place] - rounded[:, place]) / spread[place, place]
        kernels[:, place:] -= error[:, None] * spread[place, place:]
    return rounded.to(torch.float32).reshape(weights.shape)
