"""How long one preprocessed 1 mm scan takes to a written mask: make bench-inference.

Against nnU-Net's predictor (in a virtual environment of its own under build/, or left out with a
line that says so) and MONAI's sliding window, all on the same cores in one run. Prints a table
and writes benchmarks/results/inference.json; ratios travel between machines, seconds do not.
``--without-amx`` keeps every library off AMX and uses float32.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from whole_brain_scan import write_scan

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "bench_inference"
NNUNET = ROOT / "build" / "nnunet-venv"
RESULTS = ROOT / "benchmarks" / "results"
PEERS = ROOT / "benchmarks" / "inference_peers.py"
TIMES = 3
LIMIT_GB = 2.5
logger = logging.getLogger("bench_inference")


def ours(threads: int, *, precision: str) -> dict[str, Any]:
    """Seconds of each part of one scan, the best of three, and agreement with torch float32."""
    import torch

    from lesion_dynamics.cohort.cohort import Scan
    from lesion_dynamics.imaging.writing import as_stored, write_side_by_side
    from lesion_dynamics.lesions.alternatives import measure_alternatives
    from lesion_dynamics.lesions.measurement import measure
    from lesion_dynamics.model_version import ModelVersion, load_manifest
    from lesion_dynamics.preprocessing.prepare import prepare_scan, read_images
    from lesion_dynamics.records.shipped import SHIPPED_FOLDER
    from lesion_dynamics.segmenter.network_input import network_input, on_native_grid
    from lesion_dynamics.segmenter.segmenter import Segmenter, mask_at
    from lesion_dynamics.segmenter.sliding_window import lesion_probability
    from lesion_dynamics.settings.cohort import Prepared

    torch.set_num_threads(threads)
    manifest = load_manifest(SHIPPED_FOLDER)
    settings = manifest.segmenter.model_copy(update={"precision": precision})
    manifest = manifest.model_copy(update={"segmenter": settings})
    version = ModelVersion(manifest.name, 1, manifest, SHIPPED_FOLDER / "weights.safetensors")
    scan = Scan("sub-01", "ses-01", write_scan(WORK))
    done = Prepared(skull_stripped=True, sequences_aligned=True, bias_corrected=True)
    segmenter = Segmenter.from_model_version(version)
    point, window, engine = manifest.operating_point, settings.window, segmenter.engines[0]
    best: dict[str, float] = {}
    amx_layers = _amx_layers(engine)
    in_network = _timed_network(engine)
    for _ in range(TIMES + 1):  # the first round warms up, and its times count as well
        clock = _Clock()
        read_images(scan)
        clock("reading")
        ready = prepare_scan(scan, done, settings=settings.preprocessing)
        clock("reading again, brain mask")
        given = network_input(ready, settings)
        clock("normalising")
        box = lesion_probability(engine, given.channels, window=window, inside=given.brain_mask)
        clock("network and stitching")
        clock.split("network and stitching", "network", in_network.pop())
        np.copyto(box, np.float32(0), where=~given.brain_mask)
        probability = as_stored(on_native_grid(box, given, ready))
        mask = mask_at(probability, point)
        measure(mask, connectivity=point.connectivity)
        measure_alternatives(probability, point)
        clock("lesions")
        write_side_by_side(WORK / "mask.nii.gz", mask, WORK / "probability.nii.gz", probability)
        clock("writing")
        # prepare_scan reads for itself; the first reading only says what share that is.
        seconds = clock.parts
        seconds["brain mask"] = seconds.pop("reading again, brain mask") - seconds["reading"]
        if not best or sum(seconds.values()) < sum(best.values()):
            best = seconds
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    exact = Segmenter.from_model_version(
        ModelVersion(
            manifest.name, 1,
            manifest.model_copy(
                update={"segmenter": settings.model_copy(update={"precision": "float32"})}
            ),
            version.weights,
        ),
        engine="torch",
    ).engines[0]  # fmt: skip
    reference = lesion_probability(exact, given.channels, window=window, inside=given.brain_mask)
    found, expected = (
        (p >= point.probability_threshold) & given.brain_mask for p in (box, reference)
    )
    return {
        "engine": segmenter.described,
        "layers_on_amx": amx_layers,
        "seconds": best,
        "total_seconds": sum(best.values()),
        "peak_gb": peak_gb,
        "dice_with_torch_float32": float(
            2 * (found & expected).sum() / (found.sum() + expected.sum())
        ),
        "volume_difference_percent": float(100 * (found.sum() / expected.sum() - 1)),
        "operations": _operations(segmenter, given.channels.shape[1:]),
        "box": list(given.channels.shape[1:]),
    }


class _Clock:
    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._last = time.perf_counter()

    def __call__(self, name: str) -> None:
        now = time.perf_counter()
        self.parts[name] = now - self._last
        self._last = now

    def split(self, whole: str, part: str, seconds: float) -> None:
        """Take a part's seconds out of those of a whole, whose rest stands under 'stitching'."""
        self.parts[part] = seconds
        self.parts["stitching"] = self.parts.pop(whole) - seconds


def _amx_layers(engine: Any) -> int:
    """How many layers of OpenVINO's network run on AMX: none may where it is to be kept off."""
    layers = engine._request.get_compiled_model().get_runtime_model().get_ops()
    kinds = [layer.get_rt_info()["primitiveType"].astype(str) for layer in layers]
    return sum("amx" in kind for kind in kinds)


def _timed_network(engine: Any) -> list[float]:
    """Seconds of the engine's calls of its network, summed up in a list of one number."""
    seconds = [0.0]
    request = engine._request
    once = request.infer

    class Timed:
        def infer(self, *given: Any, **options: Any) -> Any:
            start = time.perf_counter()
            answer = once(*given, **options)
            seconds[-1:] = [(seconds[-1] if seconds else 0.0) + time.perf_counter() - start]
            return answer

    engine._request = Timed()
    return seconds


def _operations(segmenter: Any, shape: tuple[int, ...]) -> float:
    """Multiplications and additions of the convolutions of all windows."""
    import torch

    from lesion_dynamics.segmenter.networks import build_network
    from lesion_dynamics.segmenter.tiling import tiling_of

    network = build_network(segmenter.settings.network, input_channels=2).eval()
    counted = 0.0

    def count(module: torch.nn.Module, given: Any, answer: torch.Tensor) -> None:
        nonlocal counted
        weights = module.weight
        places = given[0] if isinstance(module, torch.nn.ConvTranspose3d) else answer
        counted += 2.0 * weights.numel() * places[0, 0].numel()

    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 2, 32, 32, 32))
    tiling = tiling_of(shape, window=segmenter.settings.window, divisor=network.divisor)
    return counted / 32**3 * float(np.prod(tiling.window)) * len(tiling.starts)


def peer(name: str, python: Path, threads: int) -> dict[str, Any] | None:
    """Seconds and memory of a peer in a process of its own; None where it does not run."""
    command = [str(python), str(PEERS), name, str(WORK / "volume.npy"), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_clean())
    if done.returncode != 0:
        logger.info("%s does not run here: %s", name, (done.stderr.splitlines() or ["?"])[-1])
        return None
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def nnunet_python() -> Path | None:
    """The python of a virtual environment with nnunetv2, made when it is not there."""
    python = NNUNET / "bin" / "python"
    if not (NNUNET / ".ready").is_file():
        for command in (
            [sys.executable, "-m", "venv", str(NNUNET)],
            [str(python), "-m", "pip", "install", "--quiet", "nnunetv2"],
        ):
            if subprocess.run(command, check=False, env=_clean()).returncode != 0:
                logger.info("nnunetv2 cannot be installed here: its comparison is left out")
                return None
        (NNUNET / ".ready").touch()
    return python


def _clean() -> dict[str, str]:
    """Environment of the children: theirs are no modules of this package."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "OMP_NUM_THREADS")}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--without-amx", action="store_true")
    parser.add_argument("--without-nnunet", action="store_true")
    parser.add_argument("--only", choices=["ours"], help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if chosen.without_amx:
        os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX512_CORE"
    WORK.mkdir(parents=True, exist_ok=True)
    if chosen.only:
        precision = "float32" if chosen.without_amx else "auto"
        sys.stdout.write(json.dumps(ours(chosen.threads, precision=precision)) + "\n")
        return
    _write_volume()
    again = [sys.executable, *sys.argv, "--only", "ours"]
    own = json.loads(
        subprocess.run(again, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    )
    python = Path(sys.executable)
    peers: dict[str, Callable[[], dict[str, Any] | None]] = {
        "monai": lambda: peer("monai", python, chosen.threads)
    }
    if not chosen.without_nnunet and (other := nnunet_python()) is not None:
        peers["nnunet"] = lambda: peer("nnunet", other, chosen.threads)
    found = {name: measured for name, run in peers.items() if (measured := run()) is not None}
    peak = peer("peak", python, chosen.threads) or {}
    _report(own, found, peak, without_amx=chosen.without_amx, threads=chosen.threads)


def _write_volume() -> None:
    """The peers' input, already read and normalised: they are charged for the network alone."""
    from lesion_dynamics.imaging.reading import read_image

    images = [read_image(path).voxels for path in write_scan(WORK).values()]
    scaled = [(v - v[v > 0].mean()) / v[v > 0].std() for v in images]
    np.save(WORK / "volume.npy", np.stack(scaled).astype(np.float32))


def _report(
    own: dict[str, Any],
    peers: dict[str, dict[str, Any]],
    peak: dict[str, Any],
    *,
    without_amx: bool,
    threads: int,
) -> None:
    total = own["total_seconds"]
    logger.info("%s, box %s, %.2f s, peak %.2f GB (limit %.1f)", own["engine"], own["box"], total,
                own["peak_gb"], LIMIT_GB)  # fmt: skip
    if without_amx and own["layers_on_amx"]:
        raise SystemExit(f"{own['layers_on_amx']} layers run on AMX all the same")
    for name, seconds in own["seconds"].items():
        logger.info("  %-24s %6.3f s %5.1f%%", name, seconds, 100 * seconds / total)
    logger.info("  Dice with torch float32 %.5f, volume %+.3f%%", own["dice_with_torch_float32"],
                own["volume_difference_percent"])  # fmt: skip
    kind = "bf16" if "bf16" in own["engine"] else "float32"
    if kind in peak:
        share = own["operations"] / own["seconds"]["network"] / peak[kind]
        own["share_of_measured_peak"] = share
        logger.info("  network: %.0f%% of the peak of a %s product", 100 * share, kind)
    for name, one in peers.items():
        one["times_slower"] = one["seconds"] / total
        logger.info("%-8s %6.1f s, peak %.2f GB: %.1f times as long", name, one["seconds"],
                    one["peak_gb"], one["times_slower"])  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    name = "inference_without_amx.json" if without_amx else "inference.json"
    content = {"threads": threads, "ours": own, "peers": peers, "peak_operations_a_second": peak}
    (RESULTS / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
