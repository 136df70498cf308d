"""What one process of the repeatability does: a scan measured as it is, and perturbed."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lesion_dynamics.atomic_files import write_json
from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.errors import UserError
from lesion_dynamics.imaging.writing import as_stored
from lesion_dynamics.lesions.measurement import measure
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.preprocessing.perturbation import (
    brain_on,
    mirrored,
    noisier,
    shifted,
    thicker,
    with_field,
)
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.preprocessing.steps import Steps
from lesion_dynamics.quality.noise import noise_standard_deviation, slice_plane
from lesion_dynamics.segmenter.precision import Precision, choose_precision
from lesion_dynamics.segmenter.segmenter import Segmenter, default_device, mask_at
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.repeatability import (
    AMONG_COPIES,
    RANDOM,
    Perturbation,
    PerturbationSettings,
)

_LOG = logging.getLogger(__name__)
Row = dict[str, Any]
"""perturbation, setting, draw, lesion_volume_mm3 (None where it failed), reason."""


@dataclass(frozen=True, slots=True)
class PerturbedScan:
    """One scan to be measured again; the result is kept in ``kept`` with ``key``."""

    scan: Scan
    kept: Path
    key: str


@dataclass(frozen=True, slots=True)
class _Worker:
    segmenter: Segmenter
    version: ModelVersion
    cohort: CohortSettings
    settings: PerturbationSettings
    seed: int
    steps: Steps
    others: dict[tuple[str, str], Segmenter] = field(default_factory=dict)
    """Segmenters of other arithmetic, each made once a process."""


_worker: _Worker | UserError | None = None


def begin_measuring(
    version: ModelVersion,
    cohort: CohortSettings,
    settings: PerturbationSettings,
    seed: int,
    steps: Steps,
    threads: int,
) -> None:
    """Initialise this process: torch threads and the network."""
    global _worker
    torch.set_num_threads(threads)
    try:
        segmenter = Segmenter.from_model_version(version, cache=steps.cache)
        _worker = _Worker(segmenter, version, cohort, settings, seed, steps)
    except UserError as error:
        _worker = error  # raised by the first scan: here it would break the pool


def measure_again(task: PerturbedScan) -> dict[str, Any]:
    """Measure, perturb, measure; the content of the file that is kept.

    A perturbation that fails is a row with its reason.

    Raises
    ------
    UserError : the scan as it is cannot be measured.
    """
    assert _worker is not None, "begin_measuring initialises every process"
    if isinstance(_worker, UserError):
        raise _worker
    worker = _worker
    prepared = prepare_scan(
        task.scan,
        worker.cohort.prepared,
        settings=worker.segmenter.settings.preprocessing,
        steps=worker.steps,
    )
    original = _volume(worker, worker.segmenter, prepared)
    rows = list(_perturbed(worker, prepared, task.scan))
    content = {"key": task.key, "original_lesion_volume_mm3": original, "rows": rows}
    write_json(task.kept, content)
    return content


def _volume(worker: _Worker, segmenter: Segmenter, prepared: PreparedScan) -> float:
    """As inference measures it."""
    point = worker.version.manifest.operating_point
    mask = mask_at(as_stored(segmenter.probability(prepared)), point)
    return measure(
        mask, connectivity=point.connectivity, volume_scale=prepared.volume_scale()
    ).lesion_volume_mm3


def _perturbed(worker: _Worker, prepared: PreparedScan, scan: Scan) -> Iterator[Row]:
    for kind in worker.settings.kinds:
        if kind in ("precision", "device"):
            yield from _on_other_arithmetic(worker, kind, prepared)
            continue
        changed = _images(worker, prepared, scan)[kind]
        for draw in range(1, _copies(kind, worker.settings) + 1):
            yield _row(kind, "", draw, partial(_volume_of_copy, worker, changed, draw))


def _copies(kind: Perturbation, settings: PerturbationSettings) -> int:
    if kind in RANDOM:
        return settings.draws
    return 2 if kind in AMONG_COPIES else 1


def _images(
    worker: _Worker, prepared: PreparedScan, scan: Scan
) -> Mapping[str, Callable[[int], PreparedScan]]:
    """What each perturbation of the images makes of the scan, by the number of the draw."""
    own = worker.settings

    def random(kind: str, draw: int) -> np.random.Generator:
        words = [zlib.crc32(word.encode()) for word in (*scan.key, kind, str(draw))]
        return np.random.default_rng([worker.seed, *words])

    return {
        "flip": lambda _: mirrored(prepared),
        # Either way: interpolation blurs both copies alike, and only their places differ.
        "shift": lambda draw: shifted(
            prepared, voxels=own.shift_voxels / 2 * (1 if draw == 1 else -1)
        ),
        "noise": lambda draw: noisier(
            prepared,
            standard_deviations=_noise(prepared, own.noise_share),
            rng=random("noise", draw),
        ),
        "bias": lambda draw: with_field(
            prepared,
            percent=own.bias_percent,
            nodes=own.bias_nodes,
            rng=random("bias", draw),
            correction=worker.segmenter.settings.preprocessing.bias_field,
        ),
        "thicker": lambda _: thicker(prepared, slices=own.thicker_slices),
    }


def _noise(prepared: PreparedScan, share: float) -> dict[str, float]:
    """Standard deviation of the noise of each sequence, times ``share``."""
    found = {}
    for name, own in prepared.sequences.items():
        image = own.image
        inside = brain_on(own, prepared).voxels > 0
        plane = slice_plane(image.voxel_sizes_mm)
        found[name] = share * noise_standard_deviation(image.voxels, inside, plane=plane)
    return found


def _on_other_arithmetic(
    worker: _Worker, kind: Perturbation, prepared: PreparedScan
) -> Iterator[Row]:
    others = worker.settings.precisions if kind == "precision" else worker.settings.devices
    for other in others:
        if other == (_precision(worker) if kind == "precision" else default_device().type):
            continue
        yield _row(kind, other, 1, partial(_volume_on, worker, kind, other, prepared))


def _volume_of_copy(worker: _Worker, changed: Callable[[int], PreparedScan], draw: int) -> float:
    return _volume(worker, worker.segmenter, changed(draw))


def _volume_on(worker: _Worker, kind: Perturbation, other: str, prepared: PreparedScan) -> float:
    return _volume(worker, _other(worker, kind, other), prepared)


def _other(worker: _Worker, kind: Perturbation, other: str) -> Segmenter:
    if (kind, other) not in worker.others:
        worker.others[kind, other] = _made_for(worker, kind, other)
    return worker.others[kind, other]


def _made_for(worker: _Worker, kind: Perturbation, other: str) -> Segmenter:
    manifest = worker.version.manifest
    precision = other if kind == "precision" else _precision(worker)
    settings = manifest.segmenter.model_copy(update={"precision": precision})
    version = ModelVersion(
        worker.version.name,
        worker.version.number,
        manifest.model_copy(update={"segmenter": settings}),
        worker.version.weights,
    )
    device = torch.device(other) if kind == "device" else default_device()
    return Segmenter.from_model_version(version, device=device, cache=worker.steps.cache)


def _precision(worker: _Worker) -> Precision:
    return choose_precision(worker.segmenter.settings.precision, default_device())


def _row(kind: str, setting: str, draw: int, volume: Callable[[], float]) -> Row:
    try:
        found, reason = volume(), ""
    except Exception as error:  # noqa: BLE001  one perturbation never stops the others
        if not isinstance(error, UserError):
            _LOG.error("unexpected failure", exc_info=error)
        found, reason = None, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return {
        "perturbation": kind,
        "setting": setting,
        "draw": draw,
        "lesion_volume_mm3": found,
        "reason": reason,
    }
