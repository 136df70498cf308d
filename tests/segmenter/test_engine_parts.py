"""The networks that OpenVINO gets, in torch: norms in parts or folded, weights rounded together."""

from __future__ import annotations

import pytest
import torch
from tests.segmenter.test_networks import network as small_network

from lesion_dynamics.segmenter.engines.bf16_weights import rounded_together, with_bf16_weights
from lesion_dynamics.segmenter.engines.exact_norm import ExactInstanceNorm
from lesion_dynamics.segmenter.engines.folded_norm import Shift, with_folded_batch_norms
from lesion_dynamics.segmenter.engines.split_input import (
    PARTS,
    split,
    split_into,
    taking_split_input,
)
from lesion_dynamics.segmenter.networks import LesionNetwork


def is_bf16(values: torch.Tensor) -> bool:
    return torch.equal(values, values.bfloat16().float())


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("in_parts", [True, False])
def test_the_normalisation_is_that_of_torch(*, affine: bool, in_parts: bool) -> None:
    torch.manual_seed(2)
    norm = torch.nn.InstanceNorm3d(5, affine=affine)
    if affine:
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    given = 3 + 2 * torch.randn(2, 5, 9, 8, 7)
    with torch.no_grad():
        found = ExactInstanceNorm(norm, in_parts=in_parts)(given)
        torch.testing.assert_close(found, norm(given), atol=1e-3 if in_parts else 2e-5, rtol=0)


def test_scale_and_shift_are_bf16_numbers_exact_to_four_digits() -> None:
    torch.manual_seed(3)
    norm = torch.nn.InstanceNorm3d(64, affine=True)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    given = torch.randn(1, 64, 6, 6, 6) + torch.randn(1, 64, 1, 1, 1)
    means = given.mean((3, 4), keepdim=True)
    lengths = torch.linalg.vector_norm(given, dim=(3, 4), keepdim=True)
    with torch.no_grad():
        parts = ExactInstanceNorm(norm, in_parts=True).statistics(means, lengths, 36)
        scale, shift = ExactInstanceNorm(norm, in_parts=False).statistics(means, lengths, 36)
    assert len(parts) == 4
    assert all(is_bf16(part) for part in parts)
    assert (parts[0] * parts[1] / scale - 1).abs().max() < 2e-4
    assert (parts[0] * parts[1] / scale - 1).abs().mean() < 7e-5  # one bf16 number: 1.4e-3
    torch.testing.assert_close(parts[2] + parts[3], shift, rtol=2e-5, atol=1e-7)


def test_errors_of_a_kernel_cancel_where_its_inputs_are_alike() -> None:
    torch.manual_seed(4)
    weights = torch.randn(16, 8, 3, 3, 3)
    rounded = rounded_together(weights)
    assert is_bf16(rounded)
    # No weight moves far: the errors that it takes over are of the size of its own.
    assert (rounded - weights).abs().max() < 0.05
    together = (rounded - weights).sum((2, 3, 4)).pow(2).mean().sqrt()
    nearest = (weights.bfloat16().float() - weights).sum((2, 3, 4)).pow(2).mean().sqrt()
    assert together < nearest / 3


def test_what_bf16_holds_already_stays() -> None:
    weights = torch.randn(4, 3, 3, 3, 3).bfloat16().float()
    assert torch.equal(rounded_together(weights), weights)
    single = torch.randn(4, 3, 1, 1, 1)
    assert torch.equal(rounded_together(single), single.bfloat16().float())


def test_every_convolution_of_a_copy_holds_bf16_numbers() -> None:
    backbone = torch.nn.Sequential(torch.nn.Conv3d(2, 4, 3), torch.nn.ConvTranspose3d(4, 4, 2, 2))
    network = LesionNetwork(backbone, head_channels=4, divisor=8)
    before = [p.clone() for p in network.parameters()]
    changed = with_bf16_weights(network)
    for module in changed.modules():
        if isinstance(module, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
            assert is_bf16(module.weight)
    assert all(torch.equal(p, q) for p, q in zip(network.parameters(), before, strict=True))
    assert not torch.equal(network.head.weight, changed.head.weight)


def test_a_split_in_bf16_holds_the_same_numbers() -> None:
    given = torch.randn(2, 5, 6, 7)
    parts = torch.empty(2 * PARTS, 5, 6, 7, dtype=torch.bfloat16)
    split_into(parts, given)
    assert torch.equal(parts, split(given[None])[0].bfloat16())


@pytest.mark.parametrize("name", ["dynunet", "unet", "segresnet"])
def test_a_split_input_gives_the_same_answer_and_survives_bf16(name: str) -> None:
    network = small_network(name).eval()
    changed = taking_split_input(network, input_channels=2)
    assert changed is not None
    given = torch.randn(1, 2, 16, 24, 16, generator=torch.Generator().manual_seed(2)) * 3
    parts = split(given)
    assert parts.shape[1] == 6
    # Each part but the low one is a bf16 number, and together they are the input to 16 bits.
    assert torch.equal(parts[:, :2], parts[:, :2].bfloat16().float())
    together = parts[:, :2] + parts[:, 2:4].bfloat16().float()
    assert (together - given).abs().max() < 2e-4
    with torch.inference_mode():
        torch.testing.assert_close(changed(parts), network(given), atol=2e-4, rtol=0)


def test_a_network_whose_input_meets_more_than_convolutions_is_not_split() -> None:
    network = LesionNetwork(torch.nn.InstanceNorm3d(2), head_channels=2, divisor=8).eval()
    assert taking_split_input(network, input_channels=2) is None


def with_kept_statistics(network: LesionNetwork) -> LesionNetwork:
    torch.manual_seed(4)
    with torch.no_grad():
        for norm in network.modules():
            if isinstance(norm, torch.nn.BatchNorm3d):
                torch.nn.init.normal_(norm.weight, 1, 0.3)
                torch.nn.init.normal_(norm.bias)
        for _ in range(3):
            network.train()(2 + 3 * torch.randn(4, 2, 16, 16, 16))
    return network.eval()


@pytest.mark.parametrize("residual", [True, False])
def test_batch_normalisation_goes_into_the_convolutions(*, residual: bool) -> None:
    network = with_kept_statistics(
        small_network(
            "dynunet", "segmenter.network.norm=batch", f"segmenter.network.residual={residual}"
        )
    )
    changed = with_folded_batch_norms(network, input_channels=2)
    assert not any(isinstance(one, torch.nn.BatchNorm3d) for one in changed.modules())
    shifts = [one.shift for one in changed.modules() if isinstance(one, Shift)]
    assert len(shifts) == sum(isinstance(one, torch.nn.BatchNorm3d) for one in network.modules())
    given = 2 + 3 * torch.randn(1, 2, 16, 24, 16)
    with torch.inference_mode():
        expected = network(given)
        torch.testing.assert_close(changed(given), expected, atol=1e-4, rtol=1e-4)
        # The shifts are what a bias of bf16 lacks, and no more.
        for one in shifts:
            assert 0 < one.abs().max() < 0.02
            one.zero_()
        assert (changed(given) - expected).abs().max() > 1e-3


def test_a_bias_is_taken_along_and_a_normalisation_without_a_convolution_stays() -> None:
    layers = (torch.nn.BatchNorm3d(2), torch.nn.Conv3d(2, 8, 3), torch.nn.BatchNorm3d(8))
    network = with_kept_statistics(
        LesionNetwork(torch.nn.Sequential(*layers), head_channels=8, divisor=8)
    )
    changed = with_folded_batch_norms(network, input_channels=2)
    assert isinstance(changed.backbone, torch.nn.Sequential)
    assert isinstance(changed.backbone[0], torch.nn.BatchNorm3d)
    assert isinstance(changed.backbone[2], Shift)
    bias = changed.backbone[1].bias
    assert isinstance(bias, torch.Tensor)
    assert is_bf16(bias)
    given = torch.randn(1, 2, 16, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(changed(given), network(given), atol=1e-5, rtol=1e-4)
