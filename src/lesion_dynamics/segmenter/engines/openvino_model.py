"""A network as OpenVINO's graph and weights: converted once, checked, and kept."""

from __future__ import annotations

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

from lesion_dynamics.segmenter.engines.exact_norm import with_exact_norms
from lesion_dynamics.segmenter.engines.split_input import PARTS, taking_split_input
from lesion_dynamics.segmenter.engines.split_input import split as split_parts
from lesion_dynamics.segmenter.networks import LesionNetwork
from lesion_dynamics.segmenter.precision import Precision

_HINTS: dict[Precision, str] = {"float32": "f32", "bf16": "bf16"}
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
        exact = with_exact_norms(network).eval()
        split = None
        if precision == "bf16":
            split = taking_split_input(exact, input_channels=input_channels)
        if split is None:
            model = _serialised(exact, input_channels, split=False)
        else:
            model = _serialised(split, PARTS * input_channels, split=True)
        difference = _largest_difference(network, model, input_channels)
    except Exception as error:
        raise ConversionError(" ".join(str(error).split())[:200]) from error
    if not difference <= _LARGEST_DIFFERENCE:
        raise ConversionError(f"probabilities differ from torch's by up to {difference:.3g}")
    return model


def given_to(model: OpenVinoModel, window: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the model takes for a window: (sequences, x, y, z) to (1, channels, x, y, z)."""
    given = np.ascontiguousarray(window)[None]
    if not model.split:
        return given
    parts: NDArray[np.float32] = split_parts(torch.from_numpy(given)).numpy()
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


def _serialised(network: LesionNetwork, input_channels: int, *, split: bool) -> OpenVinoModel:
    edge = 2 * network.divisor
    with torch.no_grad(), warnings.catch_warnings():
        # torch warns of every branch on a shape; the trial on another shape is what decides.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            network, torch.zeros(1, input_channels, edge, edge, edge), check_trace=False
        )
    # The front end reads from the decoder while it converts, and does not keep it alive.
    decoder = TorchScriptPythonDecoder(traced)
    front_end = FrontEndManager().load_by_framework("pytorch")
    model = front_end.convert(front_end.load(decoder))
    model.reshape([1, input_channels, -1, -1, -1])
    with tempfile.TemporaryDirectory() as folder:
        graph, weights = Path(folder, "network.xml"), Path(folder, "network.bin")
        openvino.serialize(model, str(graph), str(weights))
        return OpenVinoModel(
            graph=graph.read_bytes(),
            weights=np.fromfile(weights, dtype=np.uint8),
            divisor=network.divisor,
            split=split,
        )


def _largest_difference(network: LesionNetwork, model: OpenVinoModel, input_channels: int) -> float:
    x, y, z = (network.divisor * times for times in (3, 2, 4))
    trial = np.random.default_rng(1).normal(size=(1, input_channels, x, y, z)).astype(np.float32)
    request = compiled(model, precision="float32", threads=torch.get_num_threads())
    found = torch.from_numpy(request.infer([given_to(model, trial[0])])[0])
    with torch.inference_mode():
        expected = network(torch.from_numpy(trial))
    if found.shape != expected.shape:
        return float("inf")
    return float((torch.sigmoid(found) - torch.sigmoid(expected)).abs().max())
