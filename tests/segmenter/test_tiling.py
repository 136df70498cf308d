"""Windows over a box, against MONAI's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference

from lesion_dynamics.segmenter.engines.torch_engine import TorchEngine
from lesion_dynamics.segmenter.networks import LesionNetwork
from lesion_dynamics.segmenter.sliding_window import lesion_probability
from lesion_dynamics.segmenter.tiling import Tiling, tiling_of
from lesion_dynamics.settings.segmenter import WindowSettings


class Places(torch.nn.Module):
    """A backbone that answers with the input times the place in the window."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        ramp = torch.linspace(-2, 2, inputs[0, 0].numel()).reshape(inputs.shape[2:])
        return inputs * ramp


@pytest.fixture
def network() -> LesionNetwork:
    torch.manual_seed(3)
    return LesionNetwork(Places(), head_channels=2, divisor=8).eval()


@pytest.fixture
def channels() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(2, 40, 37, 29)).astype(np.float32)


def window(size: tuple[int, int, int], overlap: float) -> WindowSettings:
    return WindowSettings(size_voxels=size, overlap=overlap)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
def test_blended_windows_are_monais(
    network: LesionNetwork, channels: np.ndarray, overlap: float
) -> None:
    size = (16, 24, 16)
    engine = TorchEngine(network, precision="float32", device=torch.device("cpu"))
    found = lesion_probability(engine, channels, window=window(size, overlap))
    with torch.inference_mode():
        expected = sliding_window_inference(
            torch.from_numpy(channels)[None],
            roi_size=size,
            sw_batch_size=1,
            predictor=lambda windows: torch.sigmoid(network(windows)),
            overlap=overlap,
            mode="gaussian",
        )[0, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_windows_without_brain_are_left_out_and_change_no_voxel_of_the_brain(
    network: LesionNetwork, channels: np.ndarray
) -> None:
    inside = np.zeros(channels.shape[1:], dtype=bool)
    inside[3:14, 5:20, 2:12] = True
    chosen = window((16, 16, 16), 0.25)
    engine = TorchEngine(network, precision="float32", device=torch.device("cpu"))
    every = lesion_probability(engine, channels, window=chosen)
    some = lesion_probability(engine, channels, window=chosen, inside=inside)
    np.testing.assert_array_equal(some[inside], every[inside])
    assert (some[30:] == 0).all()
    assert (every[30:] > 0).all()
    count = len(tiling_of(inside.shape, window=chosen, divisor=8).starts)
    kept = tiling_of(inside.shape, window=chosen, divisor=8, inside=inside)
    assert 0 < len(kept.starts) < count


def test_a_box_that_fits_is_one_window_cut_to_the_divisor() -> None:
    tiling = tiling_of((33, 40, 7), window=window((64, 64, 64), 0.5), divisor=8)
    assert tiling == Tiling(shape=(40, 40, 8), window=(40, 40, 8), starts=((0, 0, 0),))
    assert tiling.in_one_pass


def test_every_voxel_lies_in_a_window_and_none_beyond_the_box() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        edges = tuple(int(edge) for edge in rng.integers(5, 60, size=3))
        tiling = tiling_of(
            edges, window=window((16, 24, 32), float(rng.uniform(0, 0.9))), divisor=8
        )
        seen = np.zeros(tiling.shape, dtype=int)
        for box in tiling.boxes:
            seen[box] += 1
            assert seen[box].shape == tiling.window
        assert seen.min() >= 1
