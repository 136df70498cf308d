"""Drawn heads of a training with synthesis, and the source of patches made of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lesion_dynamics.errors import ScanError
from lesion_dynamics.segmenter.training_scans import TrainingScan
from lesion_dynamics.settings.synthesis import HeadSettings
from lesion_dynamics.settings.training import TrainSettings
from lesion_dynamics.workflows.processes import in_processes
from lesion_dynamics.workflows.training_plan import TrainingPlan

if TYPE_CHECKING:
    from lesion_dynamics.segmenter.patches import PatchSource

_LOG = logging.getLogger(__name__)
_FOLDER = "drawn_heads"


def draw_heads(plan: TrainingPlan, settings: TrainSettings) -> tuple[Path, ...]:
    """Draw the heads that are not on disk yet; none where the synthesis is off.

    Raises
    ------
    ScanError : a head could not be drawn or written.
    """
    synthesis = settings.synthesis
    if synthesis.share == 0:
        return ()
    draw = partial(
        _drawn,
        seed=settings.seed,
        shapes=plan.shapes,
        settings=synthesis.head,
        folder=settings.runs / _FOLDER,
    )
    found: dict[int, Path] = {}
    for done in in_processes(
        draw, range(synthesis.heads), processes=settings.processes, description="drawing heads"
    ):
        if done.result is None:
            raise ScanError(
                f"head {done.item} could not be drawn: {done.failure}",
                where=settings.runs / _FOLDER,
                remedy="Mend it and start again: the heads drawn so far are kept.",
            )
        found[done.item] = done.result
    return tuple(found[number] for number in range(synthesis.heads))


def _drawn(
    number: int, *, seed: int, shapes: tuple[Path, ...], settings: HeadSettings, folder: Path
) -> Path:
    import torch

    from lesion_dynamics.synthesis.head_store import store_head

    # One head a process, one core a head; sums are then in one order as well.
    torch.set_num_threads(1)
    return store_head(number, seed=seed, shape_files=shapes, settings=settings, folder=folder)


def synthetic_source(
    heads: Sequence[Path], training: Sequence[TrainingScan], settings: TrainSettings
) -> PatchSource:
    """Patches of drawn heads, beside those of the training scans where there are any."""
    from lesion_dynamics.segmenter.patch_schedule import PatchSchedule
    from lesion_dynamics.segmenter.patches import LabelledScans
    from lesion_dynamics.synthesis.source import MixedSource, SyntheticScans

    size_of = PatchSchedule(settings.patch, settings.trainer).size_voxels
    synthetic = SyntheticScans(
        heads,
        sequences=settings.segmenter.sequences,
        size_of=size_of,
        lesion_fraction=settings.patch.lesion_fraction,
        intensity=settings.segmenter.preprocessing.intensity,
    )
    if settings.synthesis.share == 1:
        return synthetic
    labelled = LabelledScans(training, patch=settings.patch, size_of=size_of, seed=settings.seed)
    return MixedSource(synthetic, labelled, share=settings.synthesis.share)
