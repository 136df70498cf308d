"""Averages of a network's weights: moving, and with those that a training started from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """average <- d * average + (1 - d) * weights after every step.

    d is the smaller of `decay` and (1 + n) / (10 + n) at step n, so that the fresh weights of the
    start are soon forgotten. Running statistics are averaged with them,
    counters are taken as they are.
    """

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        self._decay = decay
        self._steps = 0
        self._average = {name: value.detach().clone() for name, value in _tensors(network)}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights of one more step."""
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        for name, value in _tensors(network):
            average = self._average[name] = self._average[name].to(value.device)
            if average.is_floating_point():
                average.lerp_(value.detach(), 1.0 - decay)
            else:
                average.copy_(value)

    @torch.no_grad()
    def exchange(self, network: nn.Module) -> None:
        """Swap the network's weights and the average; a second call swaps them back."""
        for name, value in _tensors(network):
            average = self._average[name].to(value.device)
            kept = value.detach().clone()
            value.copy_(average)
            self._average[name] = kept

    @contextmanager
    def in_place_of(self, network: nn.Module) -> Iterator[None]:
        """The network holds the average inside the block."""
        self.exchange(network)
        try:
            yield
        finally:
            self.exchange(network)

    def state(self) -> dict[str, int | dict[str, Tensor]]:
        """What a checkpoint keeps."""
        return {"steps": self._steps, "average": dict(self._average)}

    def load(self, state: dict[str, int | dict[str, Tensor]]) -> None:
        """Go on from a checkpoint."""
        steps, average = state["steps"], state["average"]
        assert isinstance(steps, int)
        assert isinstance(average, dict)
        self._steps = steps
        self._average = {name: value.detach().clone() for name, value in average.items()}


@torch.no_grad()
def mix_in(network: nn.Module, other: nn.Module, *, share: float) -> None:
    """Weight by weight, network <- (1 - share) * network + share * other.

    Fine-tuned weights lie near those that they came from, and what lies between both mostly keeps
    what each can do (Wortsman et al. 2022, Robust fine-tuning of zero-shot models, arXiv
    2109.01903). Running statistics are averaged with them, counters are taken as they are.
    """
    for (_, value), (_, theirs) in zip(_tensors(network), _tensors(other), strict=True):
        if value.is_floating_point():
            value.lerp_(theirs.to(value.device), share)


def _tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every parameter and buffer once, by its first name."""
    yield from network.named_parameters()
    yield from network.named_buffers()
