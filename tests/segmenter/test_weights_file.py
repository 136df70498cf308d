"""Weights come back from their file as they were, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from lesion_dynamics.model_version import WEIGHTS_FILE, load_manifest
from lesion_dynamics.records.shipped import SHIPPED_FOLDER
from lesion_dynamics.segmenter.networks import LesionNetwork, build_network
from lesion_dynamics.segmenter.weights_file import (
    WeightsDoNotFitError,
    read_weights,
    write_weights,
)
from lesion_dynamics.settings.networks import DynUNetSettings


def dynunet(norm: str, *, seed: int) -> LesionNetwork:
    torch.manual_seed(seed)
    settings = DynUNetSettings.model_validate(
        {"channels": (8, 16, 24), "residual": False, "head_channels": 8, "norm": norm}
    )
    return build_network(settings, input_channels=2)


def values(network: LesionNetwork) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_network_that_was_trained_comes_back_whole(norm: str, tmp_path: Path) -> None:
    trained = dynunet(norm, seed=1).train()
    for _ in range(2):  # batch normalisation keeps means, variances and the count of batches
        trained(torch.randn(2, 2, 16, 16, 16))
    write_weights(trained, tmp_path / "one")
    write_weights(trained, tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    again = dynunet(norm, seed=2).to(memory_format=torch.channels_last_3d)
    kernel = again.backbone.input_block.conv1.conv.weight
    read_weights(again, tmp_path / "one")
    assert kernel is again.backbone.input_block.conv1.conv.weight
    assert kernel.is_contiguous(memory_format=torch.channels_last_3d)
    assert kernel.requires_grad
    expected = values(trained)
    assert values(again).keys() == expected.keys()
    for name, value in values(again).items():
        assert torch.equal(value, expected[name]), name
    scan = torch.randn(1, 2, 24, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(scan), trained.eval()(scan))


@pytest.mark.parametrize(
    ("norm", "change", "message"),
    [
        ("batch", "none", "num_batches_tracked is missing"),
        ("instance", "more", "more is none of the network's"),
        ("instance", "shape", r"norm1.bias has the shape \(3,\), not \(8,\)"),
    ],
)
def test_what_does_not_fit_changes_nothing(
    norm: str, change: str, message: str, tmp_path: Path
) -> None:
    file, network = tmp_path / "weights.safetensors", dynunet(norm, seed=2)
    write_weights(dynunet("instance", seed=1), file)
    saved = safetensors.torch.load_file(file)
    if change == "more":
        saved["more"] = torch.zeros(2)
    if change == "shape":
        saved["backbone.input_block.norm1.bias"] = torch.zeros(3)
    safetensors.torch.save_file(saved, file)
    before = values(network)
    with pytest.raises(WeightsDoNotFitError, match=message):
        read_weights(network, file)
    assert all(torch.equal(value, before[name]) for name, value in values(network).items())


def test_the_shipped_weights_are_read_as_torch_reads_them() -> None:
    manifest, file = load_manifest(SHIPPED_FOLDER), SHIPPED_FOLDER / WEIGHTS_FILE
    sequences = len(manifest.segmenter.sequences)
    ours, theirs = (
        build_network(manifest.segmenter.network, input_channels=sequences) for _ in range(2)
    )
    read_weights(ours, file)
    # Not strict: what DynUNet has under two names is in the file once.
    unknown = theirs.load_state_dict(safetensors.torch.load_file(file), strict=False)[1]
    assert not unknown
    expected = values(theirs)
    for name, value in values(ours).items():
        assert torch.equal(value, expected[name]), name
