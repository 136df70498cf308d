"""Images of a participant into what a page shows, on the finest grid that fits the page's size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.report.scan_pages.content import LesionLayer, ParticipantView, SessionView
from lesion_dynamics.report.scan_pages.display_grid import (
    DisplayGrid,
    grey_on,
    grid_around,
    labels_on,
    mask_on,
    share_on,
)
from lesion_dynamics.report.scan_pages.embedded import (
    nifti_text,
    telling_height,
    text_of_bytes,
    thumbnail,
)
from lesion_dynamics.report.scan_pages.overlap_change import overlap_change
from lesion_dynamics.workflows.scan_pages.images import SessionImages, in_same_place
from lesion_dynamics.workflows.scan_pages.tasks import LayerTask, ParticipantTask

_COARSEST_MM = 6.0
_SOMEWHAT = 1.04  # coarser than the size of the last try asks for
_ALIGNED_DICE = 0.95
_PROBABILITY_STEP = 1.0 / 255.0
TRACKED = "lesions tracked from the session before"
BY_OVERLAP = "by overlap with the session before; lesions are not tracked, growth is not judged"
NO_COMMON_GRID = "sessions lie on different grids and lesions are not tracked: nothing to show"
FIRST = "the first session has nothing before it"
NOT_ALIGNED = "the sessions do not lie on each other and lesions are not tracked: nothing to show"
NO_MASK = "no lesion mask in this session or the one before"


@dataclass(frozen=True, slots=True)
class MadePage:
    """The page, and the small picture of every session."""

    page: str
    pictures: tuple[bytes, ...]


def fitting_view(
    task: ParticipantTask,
    sessions: Sequence[SessionImages],
    *,
    largest_bytes: int,
    finest_mm: float,
    page_of: Callable[[ParticipantView], str],
) -> MadePage:
    """The page on the finest grid at which it is no larger than ``largest_bytes``."""
    edges = [min(one.flair.image.voxel_sizes_mm) for one in sessions]
    spacing = max(finest_mm, round(min(edges), 2))
    while True:
        view, pictures = _view(task, sessions, spacing)
        page = page_of(view)
        size = len(page.encode("utf-8"))
        if size <= largest_bytes or spacing >= _COARSEST_MM:
            return MadePage(page, pictures)
        spacing = min(_COARSEST_MM, spacing * _SOMEWHAT * (size / largest_bytes) ** (1 / 3))


def _view(
    task: ParticipantTask, sessions: Sequence[SessionImages], spacing_mm: float
) -> tuple[ParticipantView, tuple[bytes, ...]]:
    lesions = [mask for one in sessions for mask in one.masks.values()]
    grid = grid_around([one.flair for one in sessions], lesions, spacing_mm=spacing_mm)
    greys = [grey_on(grid, one.flair) for one in sessions]
    masks = [{name: mask_on(grid, m) for name, m in one.masks.items()} for one in sessions]
    firsts = [next(iter(own.values()), None) for own in masks]
    height = telling_height([one for one in firsts if one is not None], greys[0])
    pictures = tuple(
        thumbnail(grey, mask, height_index=height) for grey, mask in zip(greys, firsts, strict=True)
    )
    changes = _changes(grid, sessions, masks, greys)
    views = []
    for index, one in enumerate(sessions):
        layers = tuple(
            _layer(grid, layer, one, masks[index], *changes[index][layer.model_version])
            for layer in one.task.layers
        )
        views.append(
            SessionView(
                session_id=one.task.session_id,
                days=one.task.days,
                scanner=one.task.scanner,
                flag_count=one.task.flag_count,
                flags=one.task.flags,
                flair=nifti_text(greys[index], grid.affine),
                picture=text_of_bytes(pictures[index]),
                quality_picture=one.task.quality_picture,
                layers=layers,
            )
        )
    names = list(dict.fromkeys(name for one in task.sessions for name in one.figures))
    figures = {name: tuple(s.figures.get(name, "") for s in task.sessions) for name in names}
    view = ParticipantView(
        cohort=task.cohort,
        participant_id=task.participant_id,
        facts=task.facts,
        sessions=tuple(views),
        attacks=task.attacks,
        figures=figures,
        intervals=task.intervals,
        remarks=task.remarks,
        shape=grid.shape,
        origin_mm=tuple(float(v) for v in grid.affine[:3, 3]),  # type: ignore[arg-type]
        spacing_mm=grid.spacing_mm,
        start=_start(firsts, greys[0], height),
        previous=task.previous,
        next=task.next,
    )
    return view, pictures


def _layer(
    grid: DisplayGrid,
    layer: LayerTask,
    images: SessionImages,
    masks: dict[str, NDArray[np.uint8]],
    change: NDArray[np.uint8] | None,
    note: str,
) -> LesionLayer:
    name = layer.model_version
    probability = images.probabilities.get(name)
    return LesionLayer(
        model_version=name,
        lesion_volume_mm3=layer.lesion_volume_mm3,
        lesion_count=layer.lesion_count,
        reason=layer.reason,
        mask=nifti_text(masks[name], grid.affine) if name in masks else "",
        probability=""
        if probability is None
        else nifti_text(share_on(grid, probability), grid.affine, slope=_PROBABILITY_STEP),
        change="" if change is None else nifti_text(change, grid.affine),
        change_note=note,
    )


def _changes(
    grid: DisplayGrid,
    sessions: Sequence[SessionImages],
    masks: Sequence[dict[str, NDArray[np.uint8]]],
    greys: Sequence[NDArray[np.uint8]],
) -> list[dict[str, tuple[NDArray[np.uint8] | None, str]]]:
    """By session and model version: the change map on the grid, and what to say of it."""
    found: list[dict[str, tuple[NDArray[np.uint8] | None, str]]] = []
    first = sessions[0]
    found.append({layer.model_version: (None, FIRST) for layer in first.task.layers})
    for (before, now), (mask_before, mask_now), heads in zip(
        pairwise(sessions), pairwise(masks), pairwise(greys), strict=True
    ):
        own: dict[str, tuple[NDArray[np.uint8] | None, str]] = {}
        for layer in now.task.layers:
            name = layer.model_version
            if name in now.changes:
                own[name] = (labels_on(grid, now.changes[name]), TRACKED)
            elif name not in before.masks or name not in now.masks:
                own[name] = (None, NO_MASK)
            elif not in_same_place(before.masks[name], now.masks[name]):
                own[name] = (None, NO_COMMON_GRID)
            elif _heads_overlap(*heads) < _ALIGNED_DICE:
                own[name] = (None, NOT_ALIGNED)
            else:
                own[name] = (overlap_change(mask_before[name], mask_now[name]), BY_OVERLAP)
        found.append(own)
    return found


def _heads_overlap(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Dice of two heads; scans that share a grid by chance share no more than that."""
    one, other = first > 0, second > 0
    return 2.0 * float((one & other).sum()) / max(1.0, float(one.sum() + other.sum()))


def _start(
    masks: Sequence[NDArray[np.uint8] | None], grey: NDArray[np.uint8], height: int
) -> tuple[int, int, int]:
    """The middle of the lesions of the telling slice, else of the head there."""
    shown = np.zeros(grey.shape[:2], dtype=np.bool_)
    for mask in masks:
        if mask is not None:
            shown |= mask[:, :, height] > 0
    if not shown.any():
        shown = grey[:, :, height] > 0
    places = np.argwhere(shown)
    middle = places[np.abs(places - places.mean(axis=0)).sum(axis=1).argmin()]
    return int(middle[0]), int(middle[1]), height
