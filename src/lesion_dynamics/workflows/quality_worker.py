"""What one process of the quality pictures does: it prepares a participant and draws the scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.preprocessing.intensity import normalise_intensities
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.preprocessing.sessions import align_sessions
from lesion_dynamics.preprocessing.steps import COMPUTED, Steps
from lesion_dynamics.quality.participant_grid import (
    flair_and_brain,
    on_participant_grid,
    participant_grid,
)
from lesion_dynamics.report.quality_pictures import ScanView, Thumbnail, draw_scan, thumbnail_of
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.preprocessing import PreprocessingSettings

_SPACING_MM = 1.0
_MARGIN_MM = 14.0  # room for the letters
_BACKGROUND_Z = -6.0  # darker than what is shown as black
_LESION_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class DrawnScan:
    """One scan, its lesion mask, what the tables say of it; path None: no picture of its own."""

    scan: Scan
    mask: Path
    lesion_volume_mm3: float
    model_version: str
    flag_count: int
    flags: str
    path: Path | None


@dataclass(frozen=True, slots=True)
class ParticipantPictures:
    """All scans of one participant that were segmented, in order."""

    scans: tuple[DrawnScan, ...]
    preprocessing: PreprocessingSettings


_cohort: CohortSettings | None = None
_steps: Steps = COMPUTED


def begin_drawing(cohort: CohortSettings, steps: Steps, threads: int) -> None:
    """Initialise this process."""
    global _cohort, _steps
    _cohort, _steps = cohort, steps
    if not cohort.prepared.skull_stripped:
        import torch  # deepbet's, where a brain mask is not in the cache

        torch.set_num_threads(threads)


def draw_participant(task: ParticipantPictures) -> list[Thumbnail]:
    """Prepare the scans as the inference did, draw those that are wanted, return all small.

    Raises
    ------
    ScanError : an image or a mask cannot be used.
    """
    assert _cohort is not None, "begin_drawing initialises every process"
    ready = [
        prepare_scan(one.scan, _cohort.prepared, settings=task.preprocessing, steps=_steps)
        for one in task.scans
    ]
    if _cohort.session_alignment != "none" and len(ready) > 1:
        ready = align_sessions(ready, settings=task.preprocessing.registration, steps=_steps)
    views = _views(task, ready)
    for one, view in zip(task.scans, views, strict=True):
        if one.path is not None:
            draw_scan(one.path, view)
    return [
        thumbnail_of(view, flag_count=one.flag_count)
        for one, view in zip(task.scans, views, strict=True)
    ]


def _views(task: ParticipantPictures, ready: Sequence[PreparedScan]) -> list[ScanView]:
    shape, affine = participant_grid(ready, spacing_mm=_SPACING_MM, margin_mm=_MARGIN_MM)
    shown: list[tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]] = []
    for one, scan in zip(task.scans, ready, strict=True):
        flair, brain = flair_and_brain(scan, shape=shape, affine=affine)
        mask = read_mask(one.mask)
        share = on_participant_grid(
            scan, mask.with_voxels(mask.voxels.astype(np.float32)), shape=shape, affine=affine
        )
        normalised = normalise_intensities(flair, brain, settings=task.preprocessing.intensity)
        visible = np.where(flair == 0.0, np.float32(_BACKGROUND_Z), normalised)
        shown.append((visible, brain, share >= _LESION_SHARE))
    views = []
    for index, one in enumerate(task.scans):
        view_flair, view_brain, view_lesions = shown[index]
        # The next session; of the last one, the one before.
        other = None if len(shown) == 1 else index + 1 if index + 1 < len(shown) else index - 1
        views.append(
            ScanView(
                participant_id=one.scan.participant_id,
                session_id=one.scan.session_id,
                model_version=one.model_version,
                flair=view_flair,
                brain=view_brain,
                lesions=view_lesions,
                spacing_mm=_SPACING_MM,
                lesion_volume_mm3=one.lesion_volume_mm3,
                other=None if other is None else shown[other][0],
                other_session_id="" if other is None else task.scans[other].scan.session_id,
                flags=one.flags,
            )
        )
    return views
