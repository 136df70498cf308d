"""What runs the network fastest on this processor: torch, torch.compile, ONNX Runtime, OpenVINO.

One pass of the shipped network over one box, each engine in its best known form, on the same
cores in one process; the best of three after a warm-up. Prints a table and writes
benchmarks/results/inference_engines.json. ``--only NAME`` measures that one alone.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lesion_dynamics.model_version import load_manifest
from lesion_dynamics.records.shipped import SHIPPED_FOLDER
from lesion_dynamics.segmenter.engines.openvino_engine import OpenVinoEngine
from lesion_dynamics.segmenter.engines.openvino_model import converted
from lesion_dynamics.segmenter.networks import LesionNetwork, build_network
from lesion_dynamics.segmenter.precision import Precision
from lesion_dynamics.segmenter.tiling import Tiling
from lesion_dynamics.segmenter.weights_file import read_weights

RESULTS = Path(__file__).parent / "results" / "inference_engines.json"
BOX = (144, 176, 144)
THREADS = 2
logger = logging.getLogger("inference_engines")
Pass = Callable[[], object]


def shipped() -> LesionNetwork:
    """The network of the shipped model version."""
    network = build_network(load_manifest(SHIPPED_FOLDER).segmenter.network, input_channels=2)
    read_weights(network, SHIPPED_FOLDER / "weights.safetensors")
    return network.eval()


def in_torch(given: np.ndarray, *, bf16: bool, last: bool, compile_it: bool = False) -> Pass:
    """torch: autocast, channels last and torch.compile as wanted."""
    network: torch.nn.Module = shipped()
    inputs = torch.from_numpy(given)[None]
    if last:
        network = network.to(memory_format=torch.channels_last_3d)
        inputs = inputs.to(memory_format=torch.channels_last_3d)
    if compile_it:
        network = torch.compile(network)  # type: ignore[assignment]

    def one_pass() -> object:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return torch.sigmoid(network(inputs).float())

    return one_pass


def in_onnx_runtime(given: np.ndarray) -> Pass:
    """ONNX Runtime in float32: its processor part has no convolution in bf16."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "network.onnx"))
        torch.onnx.export(
            shipped(), (torch.from_numpy(given)[None],), path, input_names=["scan"], dynamo=False
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: torch.sigmoid(torch.from_numpy(session.run(None, {"scan": given[None]})[0]))


def in_openvino(given: np.ndarray, precision: Precision) -> Pass:
    """The engine that the program uses."""
    model = converted(shipped(), input_channels=2, precision=precision)
    engine = OpenVinoEngine(model, precision=precision, threads=THREADS)
    tiling = Tiling(shape=BOX, window=BOX, starts=((0, 0, 0),))
    return lambda: engine.probability(given, tiling)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(THREADS)
    given = np.random.default_rng(1).normal(size=(2, *BOX)).astype(np.float32)
    engines: dict[str, Callable[[], Pass]] = {
        "torch float32": lambda: in_torch(given, bf16=False, last=False, compile_it=False),
        "torch bf16": lambda: in_torch(given, bf16=True, last=False, compile_it=False),
        "torch bf16, channels last": lambda: in_torch(
            given, bf16=True, last=True, compile_it=False
        ),
        "torch.compile bf16": lambda: in_torch(given, bf16=True, last=True, compile_it=True),
        "ONNX Runtime float32": lambda: in_onnx_runtime(given),
        "OpenVINO float32": lambda: in_openvino(given, "float32"),
        "OpenVINO bf16": lambda: in_openvino(given, "bf16"),
    }
    parser.add_argument("--only", nargs="*", choices=sorted(engines), default=sorted(engines))
    chosen = parser.parse_args().only
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for name in chosen:
        start = time.perf_counter()
        try:
            one_pass = engines[name]()
            one_pass()
        except Exception as error:  # noqa: BLE001  another engine may run all the same
            logger.info("%s does not run here: %s", name, str(error).splitlines()[0][:100])
            continue
        ready = time.perf_counter() - start
        seconds = min(_seconds(one_pass) for _ in range(3))
        found[name] = {"seconds": seconds, "ready_after_seconds": ready}
        logger.info("%-26s %6.2f s, ready after %5.1f s", name, seconds, ready)
        RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _seconds(one_pass: Pass) -> float:
    start = time.perf_counter()
    one_pass()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
