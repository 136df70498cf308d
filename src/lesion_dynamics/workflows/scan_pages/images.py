"""A participant's images, read once and placed in participant space."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_image, read_labels, read_mask, read_probability
from lesion_dynamics.report.scan_pages.display_grid import Placed
from lesion_dynamics.workflows.scan_pages.tasks import LayerTask, SessionTask

_SAME_PLACE = 1e-3  # mm and direction cosines


@dataclass(frozen=True, slots=True)
class SessionImages:
    """The FLAIR of a session, and by model version what is there of its layers."""

    task: SessionTask
    flair: Placed
    masks: Mapping[str, Placed]
    probabilities: Mapping[str, Placed]
    changes: Mapping[str, Placed]


def read_session(task: SessionTask) -> SessionImages:
    """Every image of a session.

    Raises
    ------
    ScanError : an image that cannot be used, or a mask that is not on the grid of its FLAIR.
    """
    flair = read_image(task.flair)
    place = _to_participant(task)
    masks, probabilities, changes = {}, {}, {}
    for layer in task.layers:
        if layer.mask.is_file():
            masks[layer.model_version] = Placed(_on(flair, read_mask(layer.mask), layer), place)
        if layer.probability.is_file():
            probability = _on(flair, read_probability(layer.probability), layer)
            probabilities[layer.model_version] = Placed(probability, place)
        if layer.change.is_file():
            changes[layer.model_version] = Placed(read_labels(layer.change), np.eye(4))
    return SessionImages(task, Placed(flair, place), masks, probabilities, changes)


def disagreement(images: SessionImages) -> tuple[float, float]:
    """The two model versions that differ most: mm³ that only one of them has, and their Dice.

    Two empty masks agree (Dice 1). NaN, NaN with fewer than two masks.
    """
    found = [(float("nan"), float("nan"))]
    for first, second in combinations(images.masks.values(), 2):
        one, other = first.image.voxels > 0, second.image.voxels > 0
        apart = float((one != other).sum()) * first.image.voxel_volume_mm3
        both = float(one.sum() + other.sum())
        found.append((apart, 2.0 * float((one & other).sum()) / both if both else 1.0))
    return found[0] if len(found) == 1 else max(found[1:])


def in_same_place(first: Placed, second: Placed) -> bool:
    """Whether two masks have the same voxels at the same places of participant space."""
    one = first.to_participant @ first.image.affine
    other = second.to_participant @ second.image.affine
    return first.image.shape == second.image.shape and np.allclose(one, other, atol=_SAME_PLACE)


def _on(flair: Image, image: Image, layer: LayerTask) -> Image:
    if not image.on_same_grid_as(flair):
        raise ScanError(
            f"the mask of {layer.model_version} is not on the grid of its FLAIR",
            where=layer.mask,
            remedy="The scan has changed since: run infer.py again.",
        )
    return image


def _to_participant(task: SessionTask) -> Affine:
    """From a sidecar, (4, 4) mm; masks from outside have none, and then the scan's own world."""
    for layer in task.layers:
        matrix = _matrix_in(layer.sidecar)
        if matrix is not None:
            return matrix
    return np.eye(4)


def _matrix_in(sidecar: Path) -> NDArray[np.float64] | None:
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
        matrix = np.array(content["Preprocessing"]["ParticipantSpaceFromFLAIR"], dtype=np.float64)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    usable = matrix.shape == (4, 4) and np.isfinite(matrix).all()
    return matrix if usable and abs(np.linalg.det(matrix)) > 0 else None
