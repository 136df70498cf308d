"""Every engine gives torch's float32 answer, on the shipped weights and a phantom's scan."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.segmenter.test_networks import SMALL
from tests.segmenter.test_networks import network as small_network

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.model_version import load_manifest
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.preprocessing.step_cache import StepCache
from lesion_dynamics.records.shipped import SHIPPED_FOLDER
from lesion_dynamics.segmenter.engines import choice
from lesion_dynamics.segmenter.engines.choice import engine_for, require_engine
from lesion_dynamics.segmenter.engines.torch_engine import TorchEngine
from lesion_dynamics.segmenter.network_input import NetworkInput, network_input
from lesion_dynamics.segmenter.networks import LesionNetwork, build_network
from lesion_dynamics.segmenter.sliding_window import lesion_probability
from lesion_dynamics.segmenter.weights_file import read_weights
from lesion_dynamics.settings.cohort import Prepared
from lesion_dynamics.settings.engine import EngineName
from lesion_dynamics.settings.segmenter import WindowSettings

openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")
CPU = torch.device("cpu")
THRESHOLD = 0.55
WINDOWS = {"one pass": (64, 80, 56), "windows": (48, 64, 48)}


@pytest.fixture(scope="module")
def shipped() -> LesionNetwork:
    settings = load_manifest(SHIPPED_FOLDER).segmenter
    network = build_network(settings.network, input_channels=2).eval()
    read_weights(network, SHIPPED_FOLDER / "weights.safetensors")
    return network


@pytest.fixture(scope="module")
def given(small_phantom: Path) -> NetworkInput:
    """The part of a phantom's scan, on a grid of 1 mm, that holds most of its lesions."""
    folder = small_phantom / "training/sub-trainms02/ses-01/anat"
    images = {n: folder / f"sub-trainms02_ses-01_{n}.nii.gz" for n in ("FLAIR", "T1w")}
    settings = load_manifest(SHIPPED_FOLDER).segmenter
    done = Prepared(skull_stripped=True, sequences_aligned=True, bias_corrected=True)
    ready = prepare_scan(Scan("sub-01", "ses-01", images), done, settings=settings.preprocessing)
    whole = network_input(ready, settings)
    part = (slice(56, 120), slice(64, 144), slice(104, 160))
    return NetworkInput(whole.channels[:, *part], whole.brain_mask[part], whole.affine)


@pytest.fixture(scope="module")
def reference(shipped: LesionNetwork, given: NetworkInput) -> dict[str, np.ndarray]:
    engine = TorchEngine(shipped, precision="float32", device=CPU)
    return {name: answer(engine, given, name) for name in WINDOWS}


def answer(engine: choice.Engine, given: NetworkInput, name: str) -> np.ndarray:
    window = WindowSettings(size_voxels=WINDOWS[name], overlap=0.25)
    found = lesion_probability(engine, given.channels, window=window, inside=given.brain_mask)
    return np.where(given.brain_mask, found, 0)


@pytest.mark.parametrize("name", sorted(WINDOWS))
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_openvino_agrees_with_torch_in_float32_on_the_same_windows(
    shipped: LesionNetwork,
    given: NetworkInput,
    reference: dict[str, np.ndarray],
    precision: choice.Precision,
    name: str,
) -> None:
    engine = engine_for(
        shipped, wanted="openvino", precision=precision, device=CPU, input_channels=2
    )
    found, expected = (p >= THRESHOLD for p in (answer(engine, given, name), reference[name]))
    assert expected.sum() > 5000
    dice = 2 * (found & expected).sum() / (found.sum() + expected.sum())
    assert dice >= 0.998
    assert abs(found.sum() / expected.sum() - 1) <= 0.002
    assert engine.described == (f"openvino {openvino.__version__.split('-')[0]} cpu {precision}")


@pytest.mark.parametrize("name", sorted(SMALL))
def test_openvino_holds_every_small_network_on_other_shapes_than_it_was_traced_with(
    name: str,
) -> None:
    network = small_network(name).eval()
    engine = engine_for(
        network, wanted="openvino", precision="float32", device=CPU, input_channels=2
    )
    given = np.random.default_rng(3).normal(size=(2, 40, 16, 24)).astype(np.float32)
    window = WindowSettings(size_voxels=(64, 64, 64), overlap=0.0)
    found = lesion_probability(engine, given, window=window)
    expected = lesion_probability(
        TorchEngine(network, precision="float32", device=CPU), given, window=window
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_openvino_normalises_with_the_statistics_that_a_training_kept() -> None:
    network = small_network("dynunet", "segmenter.network.norm=batch")
    with torch.no_grad():
        for _ in range(3):  # statistics and answers of their own
            network.train()(2 + 3 * torch.randn(4, 2, 16, 16, 16))
    engine = engine_for(
        network.eval(), wanted="openvino", precision="float32", device=CPU, input_channels=2
    )
    given = np.random.default_rng(3).normal(2, 3, size=(2, 40, 16, 24)).astype(np.float32)
    window = WindowSettings(size_voxels=(64, 64, 64), overlap=0.0)
    found = lesion_probability(engine, given, window=window)
    expected = lesion_probability(
        TorchEngine(network, precision="float32", device=CPU), given, window=window
    )
    assert found.std() > 1e-4
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_mean_of_a_large_volume_is_not_added_up_in_one_float32_number() -> None:
    """One sum over a channel of 900,000 voxels is off by 2e-4 of a standard deviation here."""
    backbone = torch.nn.Sequential(torch.nn.Conv3d(1, 16, 1), torch.nn.InstanceNorm3d(16))
    network = LesionNetwork(backbone, head_channels=16, divisor=8).eval()
    for layer, weight in ((backbone[0], 1.0), (network.head, 1 / 16)):
        torch.nn.init.constant_(layer.weight, weight)
        torch.nn.init.zeros_(layer.bias)
    engine = engine_for(
        network, wanted="openvino", precision="float32", device=CPU, input_channels=1
    )
    given = (3 + np.random.default_rng(5).normal(size=(1, 96, 96, 96))).astype(np.float32)
    window = WindowSettings(size_voxels=(96, 96, 96), overlap=0.0)
    found = lesion_probability(engine, given, window=window).astype(np.float64)
    exact = given[0].astype(np.float64)
    logit = (exact - exact.mean()) / exact.std()
    inside = (logit > 0) & (logit < 2)  # where the leaky rectifier changes nothing
    found_logit = np.log(found[inside] / (1 - found[inside]))
    assert np.abs(found_logit - logit[inside]).max() < 3e-5


class LooksAtItsShape(torch.nn.Module):
    """A backbone whose answer depends on the shape: tracing keeps that of the example."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs * float(inputs.shape[2])


def test_a_network_that_openvino_gets_wrong_runs_in_torch_unless_openvino_was_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    torch.manual_seed(1)
    network = LesionNetwork(LooksAtItsShape(), head_channels=2, divisor=8).eval()

    def engine(wanted: EngineName) -> choice.Engine:
        return engine_for(network, wanted=wanted, precision="float32", device=CPU, input_channels=2)

    with caplog.at_level(logging.INFO):
        assert isinstance(engine("auto"), TorchEngine)
    assert "OpenVINO cannot" in caplog.text
    with pytest.raises(ConfigurationError, match=r"engine=openvino.*probabilities differ"):
        engine("openvino")


def test_a_converted_network_is_kept_and_found_again_by_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lesion_dynamics.segmenter.engines import openvino_model

    converted = []
    once = openvino_model.converted

    def counted(
        network: LesionNetwork, *, input_channels: int, precision: choice.Precision
    ) -> openvino_model.OpenVinoModel:
        converted.append(precision)
        return once(network, input_channels=input_channels, precision=precision)

    monkeypatch.setattr(openvino_model, "converted", counted)
    network = small_network("unet").eval()
    given = np.random.default_rng(3).normal(size=(2, 16, 16, 16)).astype(np.float32)
    window = WindowSettings(size_voxels=(16, 16, 16), overlap=0.0)

    def found(key: str, precision: choice.Precision = "float32") -> np.ndarray:
        engine = engine_for(
            network, wanted="auto", precision=precision, device=CPU,
            input_channels=2, key=key, cache=StepCache(tmp_path),
        )  # fmt: skip
        return lesion_probability(engine, given, window=window)

    first, again = found("one"), found("one")
    assert len(converted) == 1
    np.testing.assert_array_equal(first, again)
    found("another")
    assert len(converted) == 2
    found("one", "bf16")
    assert converted == ["float32", "float32", "bf16"]


def test_without_openvino_auto_is_torch_and_says_so_and_openvino_is_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: None)
    with caplog.at_level(logging.INFO):
        engine = engine_for(
            small_network("unet"), wanted="auto", precision="float32", device=CPU, input_channels=2
        )
    assert isinstance(engine, TorchEngine)
    assert "not installed" in caplog.text
    require_engine("auto")
    with pytest.raises(ConfigurationError, match=r"not installed.*pip install openvino"):
        require_engine("openvino")


def test_openvino_is_refused_on_a_gpu_and_auto_takes_torch_there() -> None:
    network = small_network("unet")
    gpu = torch.device("cuda", 0)
    with pytest.raises(ConfigurationError, match="cuda"):
        engine_for(network, wanted="openvino", precision="bf16", device=gpu, input_channels=2)
    engine = engine_for(network, wanted="auto", precision="bf16", device=gpu, input_channels=2)
    assert isinstance(engine, TorchEngine)


def test_choosing_an_engine_loads_neither_torch_nor_openvino() -> None:
    import subprocess

    code = (
        "import sys, lesion_dynamics.segmenter.engines.choice as c; c.require_engine('openvino');"
        "sys.exit(bool({'torch', 'openvino', 'monai'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_means_and_variances_hold_over_a_large_volume(precision: choice.Precision) -> None:
    """OpenVINO's own normalisation is off by 0.004 in the mean here."""
    torch.manual_seed(1)
    norm = torch.nn.InstanceNorm3d(2, affine=True)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.7071, -1.3]))
        norm.bias.copy_(torch.tensor([0.3333, 2.0]))
    network = LesionNetwork(norm, head_channels=2, divisor=8).eval()
    with torch.no_grad():
        network.head.weight.copy_(torch.tensor([0.5, 1.0]).reshape(1, 2, 1, 1, 1))
    engine = engine_for(
        network, wanted="openvino", precision=precision, device=CPU, input_channels=2
    )
    given = np.random.default_rng(3).normal(size=(2, 128, 128, 128)).astype(np.float32)
    given[:, :50] = -4
    window = WindowSettings(size_voxels=(128, 128, 128), overlap=0.0)
    found = lesion_probability(engine, given, window=window)
    expected = lesion_probability(
        TorchEngine(network, precision="float32", device=CPU), given, window=window
    )
    if precision == "float32":
        assert np.abs(found - expected).max() < 1e-4
    # Voxels are rounded in bf16, each on its own; mean and variance are not.
    assert abs(np.mean(found[50:] - expected[50:])) < 1e-4
    assert abs(found[50:].std() / expected[50:].std() - 1) < 3e-4


class Overflows(torch.nn.Module):
    """A backbone whose features leave the range of float16."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return (inputs @ torch.eye(inputs.shape[-1])) * 30000.0


def test_a_network_beyond_the_range_of_float16_goes_on_in_bf16() -> None:
    """As on a GPU: a processor is told to take float16 too."""
    torch.manual_seed(1)
    network = LesionNetwork(Overflows(), head_channels=2, divisor=8).eval()
    torch.nn.init.constant_(network.head.weight, 1e-5)
    engine = TorchEngine(network, precision="bf16", device=CPU)
    engine._half = torch.float16
    given = np.random.default_rng(3).normal(size=(2, 16, 16, 16)).astype(np.float32) + 4
    window = WindowSettings(size_voxels=(16, 16, 16), overlap=0.0)
    assert engine.described.endswith("float16")
    found = lesion_probability(engine, given, window=window)
    assert engine.described.endswith("bf16")
    exact = TorchEngine(network, precision="float32", device=CPU)
    expected = lesion_probability(exact, given, window=window)
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_an_answer_stays_as_it_was_when_the_next_scan_goes_through() -> None:
    engine = engine_for(
        small_network("unet").eval(), wanted="openvino", precision="float32", device=CPU,
        input_channels=2,
    )  # fmt: skip
    given = np.random.default_rng(3).normal(size=(2, 16, 16, 16)).astype(np.float32)
    window = WindowSettings(size_voxels=(16, 16, 16), overlap=0.0)
    first = lesion_probability(engine, given, window=window)
    kept = first.copy()
    assert not np.array_equal(lesion_probability(engine, -given, window=window), kept)
    np.testing.assert_array_equal(first, kept)
