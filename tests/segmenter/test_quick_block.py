"""The DynUNet's block in one step against MONAI's own, in float64 and in its own bf16."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from monai.networks.blocks.dynunet_block import UnetBasicBlock, UnetUpBlock
from monai.networks.nets import DynUNet
from torch import Tensor, nn

from lesion_dynamics.segmenter import quick_block
from lesion_dynamics.segmenter.engines.exact_norm import with_exact_norms
from lesion_dynamics.segmenter.networks import LesionNetwork, build_network
from lesion_dynamics.segmenter.quick_block import QuickBasicBlock, with_quick_blocks
from lesion_dynamics.settings.networks import DynUNetSettings

SIDE_BY_SIDE = torch.channels_last_3d
Found = tuple[Tensor, dict[str, Tensor]]


def activation(*shape: int, seed: int = 0) -> Tensor:
    """Bf16 with means and deviations of its own in each channel."""
    rng = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=rng) * torch.rand(shape[1], 1, 1, 1, generator=rng) * 3
    values += torch.randn(shape[1], 1, 1, 1, generator=rng)
    return values.to(torch.bfloat16).contiguous(memory_format=SIDE_BY_SIDE)


class Part(nn.Module):
    """Normalisation and activation of a block alone, quick or torch's."""

    def __init__(self, channels: int, *, quick: bool) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm3d(channels, affine=True)
        self.lrelu = nn.LeakyReLU(0.01, inplace=True)
        rng = torch.Generator().manual_seed(5)
        with torch.no_grad():
            self.norm.weight.normal_(generator=rng)
            self.norm.bias.normal_(generator=rng)
            self.norm.weight[1:2] = 0  # its gradient is not 0
        self.quick = quick

    def forward(self, inputs: Tensor) -> Tensor:
        if self.quick:
            return quick_block._normalised(self.norm, self.lrelu, inputs)
        result: Tensor = self.lrelu(self.norm(inputs))
        return result


def result_and_gradients(part: nn.Module, inputs: Tensor, coming: Tensor) -> list[Tensor]:
    given = inputs.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    result = part(given)
    result.backward(coming)
    found = [result.detach(), given.grad, *(one.grad for one in part.parameters())]
    assert all(one is not None for one in found)
    return [one for one in found if one is not None]


def error(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).norm() / exact.norm())


@pytest.mark.parametrize(
    "shape",
    [(2, 6, 8, 9, 7), (1, 6, 33, 32, 31), (3, 24, 4, 4, 4), (2, 5, 1, 4, 3), (1, 1, 4, 4, 4)],
)
def test_normalisation_and_activation_are_nearer_to_float64_than_torchs(
    shape: tuple[int, ...],
) -> None:
    inputs, coming = activation(*shape), activation(*shape, seed=1)
    ours = result_and_gradients(Part(shape[1], quick=True), inputs, coming)
    torchs = result_and_gradients(Part(shape[1], quick=False), inputs, coming)
    exact = result_and_gradients(
        Part(shape[1], quick=False).double(), inputs.double(), coming.double()
    )
    assert ours[0].dtype is ours[1].dtype is torch.bfloat16
    assert ours[2].dtype is ours[3].dtype is torch.float32
    assert ours[0].is_contiguous(memory_format=SIDE_BY_SIDE)
    for one, other, expected in zip(ours, torchs, exact, strict=True):
        assert error(one, expected) <= 1.01 * error(other, expected)
    # bf16 keeps eight bits: half of the last one is 2^-9. Sums are in float64 and float32.
    assert error(ours[0], exact[0]) < 2**-9
    assert error(ours[1], exact[1]) < 2**-8
    assert error(ours[2], exact[2]) < 1e-5
    assert error(ours[3], exact[3]) < 1e-5


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, coming = activation(2, 6, 16, 16, 16), activation(2, 6, 16, 16, 16, seed=1)
    found = []
    for threads in (1, 2, 3, 8):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        found.append(result_and_gradients(Part(6, quick=True), inputs, coming))
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one.float(), same.float())


CASES = ["float32", "channel after channel", "without gradients", "another normalisation",
         "another activation"]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_everything_else_is_left_to_monais_block(case: str) -> None:
    torch.manual_seed(3)
    plain = UnetBasicBlock(3, 4, 6, 3, 1, ("INSTANCE", {"affine": True}))
    if case == "another normalisation":
        plain = UnetBasicBlock(3, 4, 6, 3, 1, ("INSTANCE", {"affine": False}))
    if case == "another activation":
        plain = UnetBasicBlock(3, 4, 6, 3, 1, ("INSTANCE", {"affine": True}), ("relu", {}))
    quick = with_quick_blocks(nn.Sequential(copy.deepcopy(plain)))[0]  # type: ignore[index]
    assert type(quick) is QuickBasicBlock
    inputs = activation(2, 4, 8, 8, 8)
    if case == "channel after channel":
        inputs = inputs.contiguous()
    bf16 = case != "float32"
    with (
        torch.set_grad_enabled(case != "without gradients"),
        torch.autocast("cpu", torch.bfloat16, enabled=bf16),
    ):
        given = inputs if bf16 else inputs.float()
        assert torch.equal(quick(given), plain(given))


def test_shapes_that_do_not_fit_are_refused_by_torch() -> None:
    up = UnetUpBlock(3, 6, 4, 3, 1, 2, ("INSTANCE", {"affine": True}))
    quick = with_quick_blocks(nn.Sequential(up))[0]  # type: ignore[index]
    inputs = activation(1, 6, 4, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert quick(inputs, activation(1, 4, 8, 8, 8)).shape == (1, 4, 8, 8, 8)
        for skip in (activation(1, 4, 6, 6, 6), activation(2, 4, 8, 8, 8)):
            with pytest.raises(RuntimeError, match="must match"):
                quick(inputs, skip)


@pytest.mark.parametrize("channels", [(6, 6), (1, 5), (24, 3)])
def test_channels_are_joined_as_torch_joins_them(channels: tuple[int, int]) -> None:
    given = [activation(2, n, 5, 4, 3, seed=n).requires_grad_() for n in channels]
    coming = activation(2, sum(channels), 5, 4, 3, seed=7)
    found, expected = quick_block._Joined.apply(*given), torch.cat(given, dim=1)
    assert torch.equal(found, expected)
    assert found.is_contiguous(memory_format=SIDE_BY_SIDE)
    for ours, theirs in zip(
        torch.autograd.grad(found, given, coming), torch.autograd.grad(expected, given, coming),
        strict=True,
    ):  # fmt: skip
        assert torch.equal(ours, theirs)
        assert ours.is_contiguous(memory_format=SIDE_BY_SIDE)


def test_one_voxel_is_refused_as_torch_refuses_it() -> None:
    for part in (Part(4, quick=True), Part(4, quick=False)):
        with pytest.raises(ValueError, match="more than 1 spatial element"):
            part(activation(2, 4, 1, 1, 1))


def test_modules_parameters_and_their_names_stay() -> None:
    theirs = DynUNet(3, 2, 8, [3] * 3, [1, 2, 2], [2, 2], filters=(8, 16, 24))
    before = {name: id(one) for name, one in theirs.named_modules()}
    names, values = list(theirs.state_dict()), list(theirs.parameters())
    ours = with_quick_blocks(theirs)
    assert {name: id(one) for name, one in ours.named_modules()} == before
    assert list(ours.state_dict()) == names
    assert all(one is other for one, other in zip(ours.parameters(), values, strict=True))
    assert sum(isinstance(one, UnetBasicBlock) for one in ours.modules()) == 5
    assert not any(type(one) is UnetBasicBlock for one in ours.modules())


def test_an_engine_may_put_its_own_normalisation_in() -> None:
    """As OpenVINO's does, which changes modules of a copy."""
    network = dynunet()
    changed = with_exact_norms(network, in_parts=False)
    inputs = activation(1, 2, 16, 16, 16)
    torch.testing.assert_close(
        changed(inputs.float()), network(inputs.float()), rtol=1e-4, atol=1e-4
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(changed(inputs), network(inputs), rtol=0.05, atol=0.1)


def dynunet(deep_supervision: int = 0) -> LesionNetwork:
    torch.manual_seed(4)
    settings = DynUNetSettings(
        channels=(8, 16, 24), residual=False, head_channels=8, deep_supervision=deep_supervision
    )
    network = build_network(settings, input_channels=2)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if "norm" in name:
                value += 0.3 * torch.randn(value.shape)
    return network


def gradients(
    network: LesionNetwork, inputs: Tensor, *, side_by_side: bool, bf16: bool = True
) -> Found:
    """Logits of all levels and every parameter's gradient, of two batches added up."""
    network.zero_grad()
    for batch in inputs.chunk(2):
        given = batch.contiguous(memory_format=SIDE_BY_SIDE) if side_by_side else batch
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            levels = network.at_every_level(given)
        logits = torch.cat([one.float() for one in levels], dim=1)
        (logits * batch[:, :1]).mean().backward()
    found = {name: one.grad for name, one in network.named_parameters()}
    return logits.detach(), {k: v.clone() for k, v in found.items() if v is not None}


def total_error(found: dict[str, Tensor], exact: dict[str, Tensor]) -> float:
    assert found.keys() == exact.keys()
    return float(torch.stack([(found[k] - v).square().sum() for k, v in exact.items()]).sum())


@pytest.mark.parametrize("levels", [1, 2])
def test_a_dynunet_trains_on_the_gradients_of_float32(
    levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it: with channels side by side and one after another, against float32."""
    network, inputs = dynunet(levels - 1).train(), torch.randn(4, 2, 16, 16, 16)
    exact, exact_gradients = gradients(network, inputs, side_by_side=False, bf16=False)
    torchs, torch_gradients = gradients(network, inputs, side_by_side=False)
    ran: list[str] = []
    for step in (quick_block._NormLeakyReLU, quick_block._Joined):

        def noted(*given: Any, step: Any = step, apply: Any = step.apply) -> Any:
            ran.append(step.__name__)
            return apply(*given)

        monkeypatch.setattr(step, "apply", noted)
    ours, our_gradients = gradients(network, inputs, side_by_side=True)
    # Two batches, five blocks, two of them on the way up: nowhere is the order lost.
    assert (ran.count("_NormLeakyReLU"), ran.count("_Joined")) == (2 * 10, 2 * 2)
    assert exact.shape[1] == levels
    scale = total_error(
        {k: torch.zeros_like(v) for k, v in exact_gradients.items()}, exact_gradients
    )
    assert total_error(our_gradients, exact_gradients) < 0.03 * scale
    assert total_error(our_gradients, exact_gradients) < 1.5 * total_error(
        torch_gradients, exact_gradients
    )
    assert float((ours - exact).square().mean()) < 1.5 * float((torchs - exact).square().mean())


def test_recomputed_activations_give_the_same_bits() -> None:
    inputs = torch.randn(2, 2, 16, 16, 16)
    kept, recomputed = dynunet(), dynunet()
    recomputed.recompute_activations()
    logits, expected = gradients(kept, inputs, side_by_side=True)
    again, found = gradients(recomputed, inputs, side_by_side=True)
    assert torch.equal(logits, again)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
