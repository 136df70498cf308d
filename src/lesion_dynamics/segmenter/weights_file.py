"""The weights of a network in a safetensors file: written whole, read only where all of it fits."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from lesion_dynamics.atomic_files import write_bytes


class WeightsDoNotFitError(ValueError):
    """A file holds other tensors than the network has."""


def write_weights(network: nn.Module, path: Path) -> None:
    """Write parameters and kept statistics, atomically; the same weights are the same bytes."""
    tensors = {name: value.contiguous() for name, value in _tensors(network).items()}
    write_bytes(path, safetensors.torch.save(tensors))


@torch.no_grad()
def read_weights(network: nn.Module, path: Path) -> None:
    """Put the weights of a file into ``network``, which keeps its device and memory layout.

    Raises
    ------
    WeightsDoNotFitError : a tensor is missing, too many, or of another shape; nothing is changed.
    safetensors.SafetensorError, OSError : the file cannot be read.
    """
    # Not safetensors' load_model: it takes the counts of batches that DynUNet has under two names
    # for unexpected ones.
    own, found = _tensors(network), safetensors.torch.load_file(path)
    for name in sorted(own.keys() | found.keys()):
        if name not in found:
            raise WeightsDoNotFitError(f"{name} is missing")
        if name not in own:
            raise WeightsDoNotFitError(f"{name} is none of the network's")
        if own[name].shape != found[name].shape:
            shapes = tuple(found[name].shape), tuple(own[name].shape)
            raise WeightsDoNotFitError(f"{name} has the shape {shapes[0]}, not {shapes[1]}")
    for name, value in own.items():
        value.copy_(found[name])


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    """Every tensor once, in order: DynUNet has the same ones under two names."""
    named = [*network.named_parameters(), *network.named_buffers()]
    return {name: value.detach() for name, value in named}
