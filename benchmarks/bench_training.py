"""How fast training is fed: python benchmarks/bench_training.py (make bench-training).

Prints a table and writes benchmarks/results/training.json. Each part runs in a process of its
own (``--part NAME``), so that memory is its own too. Seconds belong to the machine; the ratio
against the plain torchio loop travels.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import psutil
import torch
from hydra import compose, initialize_config_dir
from monai.losses import DiceCELoss
from omegaconf import OmegaConf
from plain_torchio_loop import loader
from scipy.ndimage import gaussian_filter

from lesion_dynamics.segmenter.augmentation import PatchAugmentation
from lesion_dynamics.segmenter.module import LesionModule
from lesion_dynamics.segmenter.patches import LabelledScans, PatchDataset
from lesion_dynamics.segmenter.precision import autocast
from lesion_dynamics.segmenter.training_scans import (
    TrainingScan,
    lesion_by_lesion,
    lookalike_voxels,
)
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.training import TrainSettings

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "training.json"
SHAPE = (144, 176, 144)
"""A brain's box at 1 mm."""
SCANS, PATCH, BATCH = 8, 64, 2
logger = logging.getLogger("bench_training")


def settings(*overrides: str) -> TrainSettings:
    """The shipped configuration."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        values = OmegaConf.to_container(compose("train", list(overrides)), resolve=True)
    assert isinstance(values, dict)
    return validated(TrainSettings, {str(key): value for key, value in values.items()})


def write_scans(folder: Path) -> None:
    """Smooth two-channel scans with lesions, as prepared arrays and as .nii.gz."""
    for number in range(SCANS):
        rng = np.random.default_rng(number)
        noise = rng.normal(size=(3, *SHAPE)).astype(np.float32)
        smooth = np.stack([gaussian_filter(one, 3.0) for one in noise])
        smooth /= smooth.std(axis=(1, 2, 3), keepdims=True)
        index = np.indices(SHAPE) / (np.array(SHAPE) / 2)[:, None, None, None] - 1
        brain = (index**2).sum(axis=0) < 1
        reference = ((smooth[2] > 3.0) & brain).astype(np.uint8)
        channels = np.where(brain, smooth[:2] + 1.5 * reference, -4.0).astype(np.float16)
        own = folder / f"scan{number}"
        own.mkdir(parents=True)
        np.save(own / "channels.npy", channels)
        np.save(own / "reference.npy", reference)
        np.save(own / "brain_voxels.npy", np.argwhere(brain)[::80].astype(np.int16))
        voxels, sizes = lesion_by_lesion(reference)
        np.save(own / "lesion_voxels.npy", voxels)
        np.save(own / "lesion_sizes.npy", sizes)
        bright = lookalike_voxels(channels[0].astype(np.float32), reference, brain, spacing_mm=1.0)
        np.save(own / "lookalike_voxels.npy", bright)
        unit = (channels.astype(np.float32) + 4.0) / 12.0
        for name, data in (("FLAIR", unit[0]), ("T1w", unit[1]), ("reference", reference)):
            nib.save(nib.Nifti1Image(data, np.eye(4)), own / f"{name}.nii.gz")


def patches(folder: Path, chosen: TrainSettings) -> PatchDataset:
    """Our patches, with the default augmentation."""
    scans = [TrainingScan(f"sub-{n}", "ses-1", folder / f"scan{n}") for n in range(SCANS)]
    return PatchDataset(
        LabelledScans(scans, patch=chosen.patch, seed=chosen.seed),
        augmentation=PatchAugmentation(
            chosen.augmentation,
            sequences=chosen.segmenter.sequences,
            optional_sequences=chosen.segmenter.optional_sequences,
        ),
        seed=chosen.seed,
    )


def light(*overrides: str) -> TrainSettings:
    """The light UNet with the benchmark's patch."""
    return settings(
        "segmenter=unet", f"patch.size_voxels={PATCH}", f"patch.batch={BATCH}", *overrides
    )


def stepper(chosen: TrainSettings) -> Callable[[torch.Tensor, torch.Tensor], None]:
    """One training step of the network, loss and optimiser that are configured."""
    module = LesionModule(chosen)
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-4)
    loss_of = DiceCELoss(sigmoid=True, batch=True)

    def step(channels: torch.Tensor, reference: torch.Tensor) -> None:
        with autocast(torch.device("cpu"), module.chosen_precision()):
            logits = module.network(channels)
        optimiser.zero_grad()
        loss_of(logits.float(), reference).backward()
        optimiser.step()

    return step


def rate(
    batches: Iterator[tuple[torch.Tensor, torch.Tensor]], step: Any, *, warm: int, steps: int
) -> float:
    """Training patches a second, loading included."""
    begin = 0.0
    for done in range(warm + steps):
        if done == warm:
            begin = time.perf_counter()
        step(*next(batches))
    return steps * BATCH / (time.perf_counter() - begin)


def part_ours(folder: Path) -> dict[str, float]:
    """Our loop: one loading process beside the step."""
    chosen = light()
    numbers = range(10_000)
    loading = torch.utils.data.DataLoader(
        patches(folder, chosen), batch_size=BATCH, sampler=list(numbers), num_workers=1
    )
    batches = ((b["channels"], b["reference"]) for b in loading)
    return {"patches_per_second": rate(batches, stepper(chosen), warm=6, steps=40)}


def torchio_rate(folder: Path, *, samples: int) -> dict[str, float]:
    """The plain loop: one loading process for the queue beside the step."""
    chosen = light()

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            for batch in loader(
                [folder / f"scan{n}" for n in range(SCANS)], chosen.augmentation,
                patch=PATCH, batch=BATCH, samples=samples,
            ):  # fmt: skip
                unit = torch.cat([batch["FLAIR"]["data"], batch["T1w"]["data"]], dim=1)
                yield unit.float() * 12.0 - 4.0, batch["reference"]["data"].float()

    # Whole rounds over the scans, the filling of the queue included, as in every epoch.
    steps = max(2 * SCANS, SCANS * samples) // BATCH
    return {"patches_per_second": rate(batches(), stepper(chosen), warm=0, steps=steps)}


def part_torchio_fresh(folder: Path) -> dict[str, float]:
    """Every patch from a volume and a draw of its own, as ours are."""
    return torchio_rate(folder, samples=1)


def part_torchio_shared(folder: Path) -> dict[str, float]:
    """Eight patches from each augmented volume: quicker, and eight times fewer draws."""
    return torchio_rate(folder, samples=8)


def part_loader(folder: Path) -> dict[str, float]:
    """Core-seconds of loading and augmenting a patch, on one thread."""
    torch.set_num_threads(1)
    found = {}
    for size, count in ((PATCH, 200), (96, 100)):
        dataset = patches(folder, light(f"patch.size_voxels={size}"))
        for number in range(5):
            _ = dataset[number]
        begin = time.process_time()
        for number in range(count):
            _ = dataset[number]
        found[f"loader_core_seconds_per_patch_{size}"] = (time.process_time() - begin) / count
    return found


def part_step(folder: Path) -> dict[str, float]:  # noqa: ARG001
    """The light UNet's step alone, core-seconds: what loading is held against."""
    step = stepper(light())
    given = torch.randn(BATCH, 2, PATCH, PATCH, PATCH)
    reference = (torch.rand(BATCH, 1, PATCH, PATCH, PATCH) > 0.99).float()
    for _ in range(5):
        step(given, reference)
    begin = time.process_time()
    for _ in range(30):
        step(given, reference)
    return {"step_core_seconds": (time.process_time() - begin) / 30}


def part_growth(folder: Path) -> dict[str, float]:
    """Resident memory of the loader after 200 and after 2,000 steps."""
    torch.set_num_threads(1)
    dataset, process = patches(folder, light("patch.size_voxels=32")), psutil.Process()
    seen = {}
    for step in range(2000):
        for number in (2 * step, 2 * step + 1):
            _ = dataset[number]
        if step + 1 in (200, 2000):
            seen[step + 1] = process.memory_info().rss / 1e6
    return {"loader_growth_mb_200_to_2000_steps": seen[2000] - seen[200]}


def part_memory(folder: Path) -> dict[str, float]:  # noqa: ARG001
    """Peak memory of three steps of the default network at batch 2 of 96^3."""
    step = stepper(settings("patch.size_voxels=96"))
    for _ in range(3):
        step(torch.randn(2, 2, 96, 96, 96), torch.zeros(2, 1, 96, 96, 96))
    return {
        "peak_memory_gb_batch_2_of_96": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    }


PARTS = {
    "ours": part_ours,
    "torchio_fresh": part_torchio_fresh,
    "torchio_shared": part_torchio_shared,
    "loader": part_loader,
    "step": part_step,
    "growth": part_growth,
    "memory": part_memory,
}


def run_part(name: str, folder: Path) -> dict[str, float]:
    """Measure one part in a fresh process."""
    found = subprocess.run(
        [sys.executable, __file__, "--part", name, "--folder", str(folder)],
        check=True, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    result: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    logger.info("%s: %s", name, result)
    return result


def main() -> None:
    """Measure every part and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=sorted(PARTS))
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if given.part:
        sys.stdout.write(json.dumps(PARTS[given.part](given.folder)) + "\n")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_scans(folder)
        found = {name: run_part(name, folder) for name in PARTS}
    loading = found["loader"][f"loader_core_seconds_per_patch_{PATCH}"] * BATCH
    step = found["step"]["step_core_seconds"]
    result = {
        "cores": len(os.sched_getaffinity(0)),
        "torch_threads": torch.get_num_threads(),
        "patch": PATCH,
        "batch": BATCH,
        "patches_per_second": found["ours"]["patches_per_second"],
        **{
            f"times_{name}": found["ours"]["patches_per_second"] / found[name]["patches_per_second"]
            for name in ("torchio_fresh", "torchio_shared")
        },
        "loading_share_of_step": loading / (loading + step),
        **found["loader"],
        **found["step"],
        **found["growth"],
        **found["memory"],
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    logger.info("%s", json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
