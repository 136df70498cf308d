"""A network as OpenVINO's graph and weights: converted once, checked, and kept."""

from __future__ import annotations

import re
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn

from lesion_dynamics.segmenter.engines.bf16_weights import with_bf16_weights
from lesion_dynamics.segmenter.engines.exact_norm import STATISTICS, with_exact_norms
from lesion_dynamics.segmenter.engines.folded_norm import with_folded_batch_norms
from lesion_dynamics.segmenter.engines.split_input import PARTS, split_into, taking_split_input
from lesion_dynamics.segmenter.engines.split_input import split as split_parts
from lesion_dynamics.segmenter.networks import LesionNetwork
from lesion_dynamics.segmenter.precision import Precision

_HINTS: dict[Precision, str] = {"float32": "f32", "bf16": "bf16"}
_STATISTICS_LAYER = re.compile(
    rf'<layer [^>]*name="[^"]*\.{STATISTICS}/[^"]*" type="(?!Const")[^>]*>'
    r"\s*(<data [^>]*/>)?\s*<rt_info>"
)
_IN_FLOAT32 = '<attribute name="precise" version="0" />'
"""OpenVINO's own attribute, as it stands in its files; Python has no call that sets it."""
_LARGEST_DIFFERENCE = 2e-3
"""Of a probability from torch's, both in float32; rounding alone gives 1e-5."""


class ConversionError(Exception):
    """OpenVINO cannot hold this network."""


@dataclass(frozen=True, slots=True)
class OpenVinoModel:
    """What OpenVINO reads.

    graph : XML. weights : bytes, (n,) uint8. divisor : of the network.
    split : its inputs go through :func:`split_input.split` first.
    """

    graph: bytes
    weights: NDArray[np.uint8]
    divisor: int
    split: bool


def converted(
    network: LesionNetwork, *, input_channels: int, precision: Precision
) -> OpenVinoModel:
    """The network as OpenVINO's model with open x, y and z, equal to torch's on a trial.

    Raises
    ------
    ConversionError : it cannot be converted, or answers differently on another shape (a
        network that looks at the shape of its input).
    """
    try:
        folded = with_folded_batch_norms(network, input_channels=input_channels)
        changed = with_exact_norms(folded, in_parts=precision == "bf16").eval()
        split = False
        if precision == "bf16":
            widened = taking_split_input(changed, input_channels=input_channels)
            split, changed = widened is not None, widened or changed
        trial = _trial(network, input_channels)
        difference = _largest_difference(network, changed, trial, split=split)
        if precision == "bf16":
            changed = with_bf16_weights(changed)
        model = _serialised(changed, input_channels * (PARTS if split else 1), split=split)
        difference = max(difference, _difference_of_model(changed, model, trial))
    except Exception as error:
        raise ConversionError(" ".join(str(error).split())[:200]) from error
    if not difference <= _LARGEST_DIFFERENCE:
        raise ConversionError(f"probabilities differ from torch's by up to {difference:.3g}")
    return model


def given_to(model: OpenVinoModel, window: NDArray[np.float32]) -> openvino.Tensor:
    """What the model takes for a window, (sequences, x, y, z): (1, channels, x, y, z)."""
    given = np.ascontiguousarray(window)
    if not model.split:
        return openvino.Tensor(given[None])
    # In the tensor's own memory: it would not keep another's alive.
    parts = openvino.Tensor(openvino.Type.bf16, [1, PARTS * len(given), *given.shape[1:]])
    memory = torch.from_numpy(parts.data.view(np.int16)).view(torch.bfloat16)
    split_into(memory[0], torch.from_numpy(given))
    return parts


def compiled(model: OpenVinoModel, *, precision: Precision, threads: int) -> Any:
    """An inference request for a model, whose shape stays open in x, y and z."""
    core = openvino.Core()
    read = core.read_model(model=model.graph, weights=openvino.Tensor(model.weights))
    return core.compile_model(
        read,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        },
    ).create_infer_request()


class _Exported(nn.Module):
    """With the sigmoid, which OpenVINO joins to the last convolution, in float32."""

    def __init__(self, network: LesionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """(1, channels, x, y, z) to probabilities, (1, 1, x, y, z)."""
        return torch.sigmoid(self.network(inputs))


def _serialised(network: LesionNetwork, input_channels: int, *, split: bool) -> OpenVinoModel:
    edge = 2 * network.divisor
    with torch.no_grad(), warnings.catch_warnings():
        # torch warns of every branch on a shape; the trial on another shape is what decides.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            _Exported(network), torch.zeros(1, input_channels, edge, edge, edge), check_trace=False
        )
    # The front end reads from the decoder while it converts, and does not keep it alive.
    decoder = TorchScriptPythonDecoder(traced)
    front_end = FrontEndManager().load_by_framework("pytorch")
    model = front_end.convert(front_end.load(decoder))
    model.reshape([1, input_channels, -1, -1, -1])
    if split:
        layers = openvino.preprocess.PrePostProcessor(model)
        layers.input().tensor().set_element_type(openvino.Type.bf16)
        model = layers.build()
    with tempfile.TemporaryDirectory() as folder:
        graph, weights = Path(folder, "network.xml"), Path(folder, "network.bin")
        openvino.serialize(model, str(graph), str(weights))
        return OpenVinoModel(
            graph=_with_exact_statistics(graph.read_text(encoding="utf-8")).encode(),
            weights=np.fromfile(weights, dtype=np.uint8),
            divisor=network.divisor,
            split=split,
        )


def _with_exact_statistics(graph: str) -> str:
    """Marks what must stay in float32 when all else is computed in bf16."""
    return _STATISTICS_LAYER.sub(rf"\g<0>{_IN_FLOAT32}", graph)


def _trial(network: LesionNetwork, input_channels: int) -> Tensor:
    """A random input of another shape than the one that is traced."""
    x, y, z = (network.divisor * times for times in (3, 2, 4))
    values = np.random.default_rng(1).normal(size=(1, input_channels, x, y, z))
    return torch.from_numpy(values.astype(np.float32))


@torch.inference_mode()
def _largest_difference(
    network: LesionNetwork, changed: LesionNetwork, trial: Tensor, *, split: bool
) -> float:
    """Between two networks' probabilities in torch."""
    answers = (network(trial), changed(split_parts(trial) if split else trial))
    one, other = (torch.sigmoid(answer) for answer in answers)
    return float((one - other).abs().max())


@torch.inference_mode()
def _difference_of_model(network: LesionNetwork, model: OpenVinoModel, trial: Tensor) -> float:
    """Between a network in torch and in OpenVINO, both in float32."""
    request = compiled(model, precision="float32", threads=torch.get_num_threads())
    found = torch.from_numpy(request.infer([given_to(model, trial[0].numpy())])[0])
    expected = torch.sigmoid(network(split_parts(trial) if model.split else trial))
    if found.shape != expected.shape:
        return float("inf")
    return float((found - expected).abs().max())
