"""The parts of the training benchmark: each measures one thing on the scans in a folder."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from hydra import compose, initialize_config_dir
from labelled_scans import prepared, write_scans
from omegaconf import OmegaConf

from lesion_dynamics.segmenter.augmentation import PatchAugmentation
from lesion_dynamics.segmenter.datamodule import LesionDataModule
from lesion_dynamics.segmenter.fit import fit
from lesion_dynamics.segmenter.freed_memory import keep_freed_memory
from lesion_dynamics.segmenter.loading_process import loading_begin, loading_context
from lesion_dynamics.segmenter.module import LesionModule
from lesion_dynamics.segmenter.patches import LabelledScans, PatchDataset
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.training import TrainSettings

ROOT = Path(__file__).parents[1]
SCANS, PATCH, BATCH = 4, 64, 2
CORES = len(os.sched_getaffinity(0))
TRANSFORMS = ("flip", "affine", "elastic", "bias_field", "gamma", "intensity", "noise", "blur",
              "thick_slices")  # fmt: skip
EVERY_TRANSFORM = tuple(f"augmentation.{name}=1.0" for name in TRANSFORMS)
_FEW_STEPS = 5
"""Up to so many steps the memory of the loading processes is looked at, which takes its time."""
Found = dict[str, float]


def settings(*overrides: str) -> TrainSettings:
    """The shipped configuration."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        values = OmegaConf.to_container(compose("train", list(overrides)), resolve=True)
    assert isinstance(values, dict)
    return validated(TrainSettings, {str(key): value for key, value in values.items()})


def light(*overrides: str) -> TrainSettings:
    """The light UNet at 1 mm with the benchmark's patch."""
    usual = (f"patch.size_voxels={PATCH}", f"patch.batch={BATCH}", "trainer.accelerator=cpu")
    return settings("segmenter=unet", "segmenter.spacing_mm=1", *usual, *overrides)


@dataclass(frozen=True)
class Moment:
    """Seconds on the wall, and of all cores by this process and its children, at one moment."""

    wall: float
    cores: float

    @classmethod
    def now(cls) -> Moment:
        """Children that have ended count too, once they were waited for."""
        seconds = sum(os.times()[:4])
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # just ended
                seconds += sum(child.cpu_times()[:2])
        return cls(time.perf_counter(), seconds)

    def rates(self, since: Moment, patches: int) -> Found:
        """Patches a second and a core-second. The latter hardly knows who else uses the cores."""
        return {
            "patches_per_second": patches / (self.wall - since.wall),
            "patches_per_core_second": patches / (self.cores - since.cores),
        }


class Watched(LesionModule):
    """Takes the time at the end of every step, and the loading processes' memory."""

    def __init__(self, chosen: TrainSettings) -> None:
        super().__init__(chosen)
        self.moments: list[Moment] = []
        self.loading_gb = 0.0

    def on_train_batch_end(self, *_: Any) -> None:
        """Lightning's hook."""
        self.moments.append(Moment.now())
        if self.settings.trainer.steps_per_epoch > _FEW_STEPS:
            return
        children = psutil.Process().children(recursive=True)
        loading = sum(one.memory_full_info().pss for one in children)
        self.loading_gb = max(self.loading_gb, loading / 1e9)


def trained(folder: Path, *overrides: str, steps: int) -> Watched:
    """One epoch of the real loop, a validation at its end."""
    chosen = light("trainer.epochs=1", f"trainer.steps_per_epoch={steps}", *overrides)
    scans, _ = prepared(folder, SCANS, chosen)
    module = Watched(chosen)
    data = LesionDataModule(scans[1:], scans[:1], chosen)
    with tempfile.TemporaryDirectory() as run:
        fit(module, data, chosen, run_folder=Path(run), listener=lambda *_: None)
    return module


def our_rate(folder: Path, *overrides: str) -> Found:
    """Training patches a second of our loop, one loading process beside the step."""
    warm, steps = 10, 50
    module = trained(folder, *overrides, steps=warm + steps)
    begin, end = module.moments[warm - 1], module.moments[-1]
    return end.rates(begin, steps * module.settings.patch.batch)


def torchio_rate(
    folder: Path, *overrides: str, samples: int, fillings: int, same_step: bool = False
) -> Found:
    """The plain loop with as many loading processes as there are cores.

    fillings : of the queue that are timed, two volumes each; even, for whole epochs of four
        volumes: their loading processes are an epoch ahead at most, and never beyond its end.
    """
    from plain_torchio_loop import batches, plain_step

    chosen = light(*overrides)
    step = our_step(LesionModule(chosen)) if same_step else plain_step(chosen)
    given = batches(
        folder, chosen.augmentation, scans=SCANS, patch=PATCH, batch=BATCH, samples=samples,
        workers=CORES,
    )  # fmt: skip
    # Between two moments at which the queue is empty and its loading processes are as far ahead.
    filling = 2 * samples // BATCH
    for _ in range(filling):
        step(*next(given))
    begin, steps = Moment.now(), fillings * filling
    for _ in range(steps):
        step(*next(given))
    return Moment.now().rates(begin, steps * BATCH)


def our_step(module: LesionModule) -> Callable[[torch.Tensor, torch.Tensor], None]:
    """Our training step without Lightning around it."""
    keep_freed_memory()  # as `fit` does
    optimiser = module.configure_optimizers()["optimizer"]
    largest = module.settings.optimiser.gradient_clip_norm

    def step(channels: torch.Tensor, reference: torch.Tensor) -> None:
        levels = module.levels(channels)
        optimiser.zero_grad()
        module.loss([one.float() for one in levels], reference).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), largest)
        optimiser.step()

    return step


def step_seconds(*, plain: bool) -> Found:
    """Core-seconds of the light UNet's step alone: what loading is held against."""
    from plain_torchio_loop import plain_step

    torch.set_num_threads(1)
    step = plain_step(light()) if plain else our_step(LesionModule(light()))
    given = torch.randn(BATCH, 2, PATCH, PATCH, PATCH)
    reference = (torch.rand(BATCH, 1, PATCH, PATCH, PATCH) > 0.99).float()
    for _ in range(4):
        step(given, reference)
    begin = time.process_time()
    for _ in range(15):
        step(given, reference)
    return {"core_seconds": (time.process_time() - begin) / 15}


def patches(folder: Path, chosen: TrainSettings) -> PatchDataset:
    """Our patches, as a training makes them."""
    keep_freed_memory()  # as `fit` does
    scans, _ = prepared(folder, SCANS, chosen)
    return PatchDataset(
        LabelledScans(scans, patch=chosen.patch, seed=chosen.seed),
        augmentation=PatchAugmentation(
            chosen.augmentation,
            sequences=chosen.segmenter.sequences,
            optional_sequences=chosen.segmenter.optional_sequences,
        ),
        seed=chosen.seed,
    )


def part_loader(folder: Path) -> Found:
    """Core-seconds of loading and augmenting a patch, on one thread."""
    torch.set_num_threads(1)
    found = {}
    for name, count, overrides in (
        ("64", 200, ()),
        ("96", 100, ("patch.size_voxels=96",)),
        ("96_every_transform", 60, ("patch.size_voxels=96", *EVERY_TRANSFORM)),
    ):
        dataset = patches(folder, light(*overrides))
        for number in range(5):
            _ = dataset[number]
        begin = time.process_time()
        for number in range(count):
            _ = dataset[number]
        found[f"core_seconds_per_patch_{name}"] = (time.process_time() - begin) / count
    return found


def loading(folder: Path, *overrides: str, workers: int, count: int) -> Iterator[Any]:
    """Batches of a loader with processes, as a training has it."""
    return iter(
        torch.utils.data.DataLoader(
            patches(folder, light(*overrides)), batch_size=BATCH, sampler=list(range(count)),
            num_workers=workers, multiprocessing_context=loading_context(),
            worker_init_fn=loading_begin(),
        )
    )  # fmt: skip


def part_feeding(folder: Path) -> Found:
    """Patches of 96^3 a second from all cores, nothing else running: what a GPU would get."""
    warm, count = 8 * CORES, 40 * CORES
    given = loading(folder, "patch.size_voxels=96", workers=CORES, count=2 * (warm + count))
    for _ in range(warm):
        next(given)
    begin = time.perf_counter()
    for _ in range(count):
        next(given)
    return {"patches_of_96_per_second": BATCH * count / (time.perf_counter() - begin)}


def part_growth(folder: Path) -> Found:
    """The loading process's own memory after 200 and after 2,000 steps."""
    given = loading(folder, workers=1, count=2 * 2001)
    next(given)
    children = psutil.Process().children(recursive=True)
    (worker,) = (one for one in children if one.ppid() != os.getpid())  # the fork server's
    seen = {}
    for step in range(1, 2001):
        next(given)
        if step in (200, 1999):
            seen[step] = worker.memory_full_info().uss / 1e6
    return {"mb_after_200_steps": seen[200], "growth_mb_200_to_2000_steps": seen[1999] - seen[200]}


def part_memory(folder: Path) -> Found:
    """Peak memory of a default training at batch 2 of 96^3, loading process and validation too."""
    overrides = ("segmenter=dynunet", "segmenter.spacing_mm=1", "patch.size_voxels=96")
    loading = trained(folder, *overrides, steps=2).loading_gb
    return {"gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6 + loading}


def part_scans(folder: Path) -> Found:
    """Write the scans, and prepare them as train.py does."""
    write_scans(folder, SCANS)
    _, seconds = prepared(folder, SCANS, light())
    return {"preparation_core_seconds_per_scan": seconds or 0.0}


def part_gpu(folder: Path) -> Found:
    """Training patches of 96^3 a second on a GPU, fed by all cores."""
    return our_rate(
        folder, "patch.size_voxels=96", "patch.batch=8", "trainer.accelerator=gpu",
        f"trainer.workers={CORES}",
    )  # fmt: skip


WITH_A_GPU: dict[str, Callable[[Path], Found]] = {"gpu": part_gpu}
"""Not among the others: only by name."""

PARTS: dict[str, Callable[[Path], Found]] = {
    "scans": part_scans,
    "ours": our_rate,
    "plain": lambda f: torchio_rate(f, samples=8, fillings=4),
    "ours_every_transform": lambda f: our_rate(f, *EVERY_TRANSFORM),
    "plain_every_transform": lambda f: torchio_rate(f, *EVERY_TRANSFORM, samples=8, fillings=2),
    "loader": part_loader,
    "step": lambda _: step_seconds(plain=False),
    "plain_step": lambda _: step_seconds(plain=True),
    "plain_one_patch_a_volume": lambda f: torchio_rate(f, samples=1, fillings=6),
    "plain_same_step": lambda f: torchio_rate(f, samples=8, fillings=4, same_step=True),
    "memory": part_memory,
    "growth": part_growth,
    "feeding": part_feeding,
}
