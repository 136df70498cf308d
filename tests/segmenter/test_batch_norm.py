"""Batch normalisation of the DynUNet: in one step against torch's, and what it is there for."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lesion_dynamics.segmenter import quick_block
from lesion_dynamics.segmenter.networks import LesionNetwork, build_network
from lesion_dynamics.settings.networks import DynUNetSettings

SIDE_BY_SIDE = torch.channels_last_3d


def activation(*shape: int, seed: int) -> Tensor:
    """Bf16; every scan and every channel has a mean and a deviation of its own."""
    rng = torch.Generator().manual_seed(seed)
    own = (shape[0], shape[1], 1, 1, 1)
    values = torch.randn(*shape, generator=rng) * (0.5 + torch.rand(own, generator=rng))
    values += torch.randn(own, generator=rng)
    return values.to(torch.bfloat16).contiguous(memory_format=SIDE_BY_SIDE)


class Part(nn.Module):
    """Normalisation and activation of a block alone, quick or torch's."""

    def __init__(self, channels: int, *, quick: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm3d(channels)
        self.lrelu = nn.LeakyReLU(0.01)
        self.quick = quick
        rng = torch.Generator().manual_seed(5)
        with torch.no_grad():
            self.norm.weight.normal_(generator=rng)
            self.norm.bias.normal_(generator=rng)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.quick:
            return quick_block._normalised(self.norm, self.lrelu, inputs)
        result: Tensor = self.lrelu(self.norm(inputs))
        return result


def after_two_batches(part: Part, shape: tuple[int, ...], dtype: torch.dtype) -> list[Tensor]:
    """Results, gradients of inputs and weights, and statistics kept."""
    found = []
    for seed in (0, 2):
        given = activation(*shape, seed=seed).to(dtype).requires_grad_()
        result = part(given)
        result.backward(activation(*shape, seed=seed + 1).to(dtype))
        assert given.grad is not None
        found += [result.detach(), given.grad]
    found += [one.grad for one in part.parameters() if one.grad is not None]
    return [*found, *(one.clone() for one in part.buffers())]


@pytest.mark.parametrize("shape", [(4, 6, 8, 9, 7), (1, 6, 16, 15, 14), (3, 24, 4, 4, 4)])
def test_one_step_is_torchs_batch_normalisation(shape: tuple[int, ...]) -> None:
    quick = Part(shape[1], quick=True)
    ours = after_two_batches(quick, shape, torch.bfloat16)
    exact = after_two_batches(Part(shape[1], quick=False).double(), shape, torch.float64)
    # Result and gradient twice, weight, bias; running mean, running variance, their count.
    limits = [2**-9, 2**-8, 2**-9, 2**-8, 1e-5, 1e-5, 1e-5, 1e-5, 1e-9]
    for one, expected, limit in zip(ours, exact, limits, strict=True):
        assert float((one - expected).double().norm() / expected.double().norm()) < limit


def test_it_is_the_one_step_that_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[bool] = []
    apply = quick_block._NormLeakyReLU.apply

    def noted(*given: Any) -> Any:
        ran.append(given[-1])
        return apply(*given)

    monkeypatch.setattr(quick_block._NormLeakyReLU, "apply", noted)
    network = dynunet("batch").train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(torch.randn(2, 2, 16, 16, 16).contiguous(memory_format=SIDE_BY_SIDE))
    assert ran == [True] * 10


def test_a_trained_network_normalises_with_what_it_kept() -> None:
    part = Part(6, quick=True).eval()
    inputs = activation(2, 6, 4, 4, 4, seed=3)
    expected = part.lrelu(part.norm.weight * inputs.float().movedim(1, -1) + part.norm.bias)
    torch.testing.assert_close(part(inputs).float(), expected.movedim(-1, 1), rtol=0.01, atol=0.02)
    assert float(part.norm.running_mean.abs().sum()) == 0  # type: ignore[union-attr,operator]


def dynunet(norm: str) -> LesionNetwork:
    torch.manual_seed(4)
    settings = DynUNetSettings.model_validate(
        {"channels": (8, 16, 24), "residual": False, "head_channels": 8, "norm": norm}
    )
    return build_network(settings, input_channels=2)


@pytest.mark.parametrize(("norm", "depends"), [("batch", False), ("instance", True)])
def test_a_lesion_far_away_changes_no_answer_here(norm: str, *, depends: bool) -> None:
    """What instance normalisation cannot promise: one bright place dims all others."""
    network = dynunet(norm)
    with torch.no_grad():
        for _ in range(3):
            network.train()(torch.randn(2, 2, 16, 16, 16))
    network.eval()
    scan = torch.randn(1, 2, 96, 16, 16)
    other = copy.deepcopy(scan)
    other[..., :8, :, :] += 20
    with torch.no_grad():
        change = (network(scan) - network(other))[..., 64:, :, :].abs().max()
        alone = network(scan[..., 32:, :, :])[..., 32:, :, :]
        cut = (network(scan)[..., 64:, :, :] - alone).abs().max()
    assert (float(change) > 1e-3) is depends
    assert (float(cut) > 1e-3) is depends


@pytest.mark.parametrize("quick", [True, False])
def test_a_batch_whose_activations_are_computed_twice_counts_once(*, quick: bool) -> None:
    inputs, states = torch.randn(2, 2, 16, 16, 16), []
    given = inputs.contiguous(memory_format=SIDE_BY_SIDE) if quick else inputs
    for again in (False, True):
        network = dynunet("batch").train()
        if again:
            network.recompute_activations()
        for _ in range(2):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=quick):
                logits = network(given)
            logits.float().square().mean().backward()
        gradients = {f"gradient {k}": v.grad for k, v in network.named_parameters()}
        states.append(network.state_dict() | gradients)
    kept, recomputed = states
    assert int(kept["backbone.input_block.norm1.num_batches_tracked"]) == 2
    for name, value in kept.items():
        if value is not None:
            assert torch.equal(recomputed[name], value), name
