"""Batch normalisation in the convolutions before it: of a trained network it is a line a channel.

An engine joins the two by itself, but after the weights were made fit for bf16 (`split_input`,
`bf16_weights`), which a factor undoes: on the shipped weights and a part of a scan, Dice with
float32 was 0.9956.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from lesion_dynamics.segmenter.networks import LesionNetwork

_ANY_ACTIVATION = 1e30


class Shift(nn.Module):
    """``x + shift`` of each channel: what a bf16 number leaves over of a convolution's bias.

    OpenVINO 2026.4 rounds a bias to bf16 where its convolution answers in bf16: on the shipped
    weights most of what probabilities near the threshold were off by. What follows a limit it
    cannot join to the bias, and adds in float32 before the answer is rounded.
    """

    shift: Tensor

    def __init__(self, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("shift", shift.reshape(1, -1, 1, 1, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, channels, x, y, z)."""
        return inputs.clamp(-_ANY_ACTIVATION, _ANY_ACTIVATION) + self.shift


def with_folded_batch_norms(network: LesionNetwork, *, input_channels: int) -> LesionNetwork:
    """A copy, in evaluation, that gives the same answers without `BatchNorm3d` after a `Conv3d`.

    The convolution takes the factor, a :class:`Shift` stands for the normalisation. Which
    convolution it follows shows on a pass of zeros. Others, and those without kept statistics,
    stay.
    """
    changed = copy.deepcopy(network).eval()
    answers: list[tuple[nn.Conv3d, Tensor]] = []  # the tensors too, so that each stays itself
    pairs: list[tuple[nn.Conv3d, nn.BatchNorm3d]] = []

    def note(module: nn.Module, given: tuple[Any, ...], answer: Any) -> None:
        if isinstance(module, nn.Conv3d):
            answers.append((module, answer))
        elif isinstance(module, nn.BatchNorm3d) and module.running_mean is not None:
            pairs.extend((before, module) for before, answer in answers if answer is given[0])

    handles = [module.register_forward_hook(note) for module in changed.modules()]
    edge = 2 * changed.divisor
    with torch.no_grad():
        changed(torch.zeros(1, input_channels, edge, edge, edge))
        for handle in handles:
            handle.remove()
        shifts = {norm: _folded(convolution, norm) for convolution, norm in pairs}
    for module in list(changed.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm3d) and child in shifts:
                setattr(module, name, shifts[child])
    return changed


def _folded(convolution: nn.Conv3d, norm: nn.BatchNorm3d) -> Shift:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    convolution.weight, bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps,
        norm.weight, norm.bias,
    )  # fmt: skip
    convolution.bias = nn.Parameter(bias.bfloat16().float())
    return Shift(bias - convolution.bias)
