"""One pass, or window by window."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lesion_dynamics.segmenter.engines.torch_engine import TorchEngine
from lesion_dynamics.segmenter.network_input import BACKGROUND_Z, MISSING_SEQUENCE_Z
from lesion_dynamics.segmenter.networks import LesionNetwork
from lesion_dynamics.segmenter.sliding_window import lesion_probability
from lesion_dynamics.settings.segmenter import WindowSettings


class Sharpen(torch.nn.Module):
    """A backbone whose answer is known: the mean of 3 x 3 x 3 voxels."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool3d(inputs, 3, stride=1, padding=1)


@pytest.fixture
def network() -> LesionNetwork:
    built = LesionNetwork(Sharpen(), head_channels=2, divisor=8)
    with torch.no_grad():
        built.head.weight[:] = torch.tensor([1.0, 0.5]).reshape(1, 2, 1, 1, 1)
        built.head.bias.zero_()
    return built.eval()


def probability(
    network: LesionNetwork, channels: np.ndarray, size: int, overlap: float = 0.5
) -> np.ndarray:
    return lesion_probability(
        TorchEngine(network, precision="float32", device=torch.device("cpu")),
        channels,
        window=WindowSettings(size_voxels=(size, size, size), overlap=overlap),
    )


@pytest.fixture
def channels() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(2, 29, 35, 31)).astype(np.float32)


def test_one_pass_is_the_networks_own_answer(network: LesionNetwork, channels: np.ndarray) -> None:
    found = probability(network, channels, 64)
    with torch.no_grad():
        expected = torch.sigmoid(network(torch.from_numpy(channels)[None]))[0, 0].numpy()
    assert found.shape == channels.shape[1:]
    np.testing.assert_allclose(found[1:-1, 1:-1, 1:-1], expected[1:-1, 1:-1, 1:-1], atol=1e-6)


def test_windows_agree_with_one_pass_away_from_their_edges(
    network: LesionNetwork, channels: np.ndarray
) -> None:
    whole, windows = probability(network, channels, 64), probability(network, channels, 16)
    assert windows.shape == whole.shape
    # Gaussian weights make a window's edge voxels, which see padding, count for little.
    assert np.abs(windows - whole)[1:-1, 1:-1, 1:-1].mean() < 2e-3


def test_window_and_overlap_are_alive(network: LesionNetwork, channels: np.ndarray) -> None:
    usual = probability(network, channels, 16)
    assert np.abs(usual - probability(network, channels, 24)).max() > 1e-6
    assert np.abs(usual - probability(network, channels, 16, overlap=0.0)).max() > 1e-6


def test_beyond_the_box_lies_background_and_a_missing_sequence_stays_missing(
    network: LesionNetwork, channels: np.ndarray
) -> None:
    """29 voxels become 32: the last ones see what was added."""
    channels[:, 0, 0, 0] = BACKGROUND_Z
    channels[1] = MISSING_SEQUENCE_Z
    around = np.full((2, 32, 40, 32), BACKGROUND_Z, dtype=np.float32)
    around[1] = MISSING_SEQUENCE_Z
    around[:, :29, :35, :31] = channels
    with torch.no_grad():
        expected = torch.sigmoid(network(torch.from_numpy(around)[None]))[0, 0].numpy()
    found = probability(network, channels, 64)
    np.testing.assert_allclose(found, expected[:29, :35, :31], atol=1e-6)
