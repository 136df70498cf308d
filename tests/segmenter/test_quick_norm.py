"""Normalisation and PReLU in one step against torch's two, in float64 and in its own bf16."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lesion_dynamics.segmenter.networks import build_network
from lesion_dynamics.segmenter.quick_norm import (
    NormalisedConvTranspose3d,
    QuickNormPReLU,
    with_quick_norm,
)
from lesion_dynamics.settings.networks import UNetSettings

SIDE_BY_SIDE = torch.channels_last_3d


def pair(slope: float = 0.3) -> tuple[nn.InstanceNorm3d, nn.PReLU]:
    return nn.InstanceNorm3d(6), nn.PReLU(init=slope)


def activation(*shape: int, seed: int = 0) -> Tensor:
    """Bf16 with means and deviations of its own in each channel."""
    rng = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=rng) * torch.rand(shape[1], 1, 1, 1, generator=rng) * 3
    values += torch.randn(shape[1], 1, 1, 1, generator=rng)
    return values.to(torch.bfloat16).contiguous(memory_format=SIDE_BY_SIDE)


def result_and_gradients(layer: nn.Module, inputs: Tensor, coming: Tensor) -> list[Tensor]:
    given = inputs.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    result = layer(given)
    result.backward(coming)
    slope = next(layer.parameters()).grad
    assert given.grad is not None
    assert slope is not None
    return [result.detach(), given.grad, slope]


@pytest.mark.parametrize("shape", [(2, 6, 8, 9, 7), (1, 6, 33, 32, 31), (3, 24, 4, 4, 4)])
def test_it_is_normalisation_and_activation_in_float64(shape: tuple[int, ...]) -> None:
    inputs, coming = activation(*shape), activation(*shape, seed=1)
    norm, activate = pair()
    found = result_and_gradients(QuickNormPReLU(norm, activate), inputs, coming)
    plain = nn.Sequential(nn.InstanceNorm3d(shape[1]), nn.PReLU(init=0.3)).double()
    exact = result_and_gradients(plain, inputs.double(), coming.double())
    assert found[0].dtype is torch.bfloat16
    assert found[0].is_contiguous(memory_format=SIDE_BY_SIDE)
    for one, expected in zip(found[:2], exact[:2], strict=True):
        # bf16 keeps eight bits: half of the last one is 2^-9.
        torch.testing.assert_close(one.double(), expected, rtol=2**-8, atol=2e-3)
        error = (one.double() - expected).square().mean() / expected.square().mean()
        assert float(error) < (2**-9) ** 2
    assert float(found[2]) == pytest.approx(float(exact[2]), rel=1e-3)


def test_it_is_nearer_to_float64_than_torch_in_bf16() -> None:
    inputs, coming = activation(2, 6, 16, 16, 16), activation(2, 6, 16, 16, 16, seed=1)
    exact = result_and_gradients(nn.Sequential(*pair()).double(), inputs.double(), coming.double())[
        1
    ]
    ours = result_and_gradients(QuickNormPReLU(*pair()), inputs, coming)[1]
    torchs = result_and_gradients(nn.Sequential(*pair()).bfloat16(), inputs, coming)[1]

    def error(gradient: Tensor) -> float:
        return float((gradient.double() - exact).square().mean())

    assert error(ours) < error(torchs)


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, coming = activation(2, 6, 16, 16, 16), activation(2, 6, 16, 16, 16, seed=1)
    found = []
    for threads in (1, 2, 3, 8):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        found.append(result_and_gradients(QuickNormPReLU(*pair()), inputs, coming))
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one.float(), same.float())


@pytest.mark.parametrize("case", ["float32", "channel after channel", "without gradients"])
def test_everything_else_is_left_to_torch(case: str) -> None:
    inputs = activation(2, 6, 8, 8, 8)
    if case == "float32":
        inputs = inputs.float()
    if case == "channel after channel":
        inputs = inputs.contiguous()
    norm, activate = pair()
    activate = activate.to(inputs.dtype)
    with torch.set_grad_enabled(case != "without gradients"):
        found = QuickNormPReLU(norm, activate)(inputs)
        assert torch.equal(found, activate(norm(inputs)))


def test_one_voxel_has_no_deviation_to_divide_by() -> None:
    with pytest.raises(ValueError, match="more than 1 spatial element"):
        QuickNormPReLU(*pair())(activation(1, 6, 1, 1, 1))


def test_names_and_values_of_parameters_stay() -> None:
    class Block(nn.Sequential):
        def __init__(self, norm: nn.Module, dropout: float) -> None:
            super().__init__()
            self.add_module("N", norm)
            self.add_module("D", nn.Dropout(dropout))
            self.add_module("A", nn.PReLU(init=0.1))

    plain = nn.ModuleList(
        [Block(nn.InstanceNorm3d(6), 0.0), Block(nn.InstanceNorm3d(6), 0.2),
         Block(nn.InstanceNorm3d(6, affine=True), 0.0)]
    )  # fmt: skip
    quick = with_quick_norm(copy.deepcopy(plain))
    assert [isinstance(one, QuickNormPReLU) for one in quick.children()] == [True, False, False]
    assert list(quick.state_dict()) == list(plain.state_dict())
    quick.load_state_dict(plain.state_dict(), strict=True)


def test_a_light_unet_trains_on_the_gradients_of_float32() -> None:
    """All of it: with channels side by side and one after another, against float32."""
    torch.manual_seed(4)
    settings = UNetSettings(channels=(8, 16, 24), strides=(2, 2), residual_units=2, head_channels=8)
    network = build_network(settings, input_channels=2)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("conv.bias"):
                value.normal_()
    kinds = [type(one) for one in network.modules()]
    assert kinds.count(NormalisedConvTranspose3d) == 2
    assert kinds.count(QuickNormPReLU) >= 6
    inputs = torch.randn(2, 2, 16, 16, 16)

    def gradients(side_by_side: bool, bf16: bool) -> tuple[Tensor, dict[str, Tensor]]:
        network.zero_grad()
        given = inputs.contiguous(memory_format=SIDE_BY_SIDE) if side_by_side else inputs
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            logits = network(given)
        (logits.float() * inputs[:, :1]).mean().backward()
        found = {name: one.grad for name, one in network.named_parameters()}
        return logits.detach().float(), {k: v.clone() for k, v in found.items() if v is not None}

    exact, exact_gradients = gradients(False, False)
    ours, our_gradients = gradients(True, True)
    torchs, torch_gradients = gradients(False, True)
    assert our_gradients.keys() == exact_gradients.keys()

    def error(found: dict[str, Tensor]) -> float:
        differences = [(found[k] - v).square().sum() for k, v in exact_gradients.items()]
        return float(torch.stack(differences).sum())

    scale = float(torch.stack([v.square().sum() for v in exact_gradients.values()]).sum())
    assert error(our_gradients) < 0.03 * scale  # eight bits a number, through seven layers
    assert error(our_gradients) < 1.5 * error(torch_gradients)
    assert float((ours - exact).square().mean()) < 1.5 * float((torchs - exact).square().mean())
    for name, gradient in our_gradients.items():
        if "model.2.0.conv.bias" in name:
            assert not gradient.any()
