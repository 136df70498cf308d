"""Residual scale and shear between a participant's sessions.

A head is rigid and an adult's skull does not grow; a scanner's gradients are recalibrated and
drift by some tenths of a percent, and every volume drifts with them (Jovicich et al. 2009,
doi 10.1016/j.neuroimage.2009.02.010). SIENA holds the scale of two sessions by the skull
(Smith et al. 2002, doi 10.1006/nimg.2002.1040), because a brain may shrink. Here the affine map
is found in the brain and 5 mm around it: of a whole head that holds the skull's inner edge,
which does not move when the brain shrinks; of a skull-stripped one it holds the brain alone,
and atrophy then looks like scale.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.linalg import expm, logm

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.registration import affine_registration, with_margin
from lesion_dynamics.preprocessing.resampling import resample
from lesion_dynamics.preprocessing.rigid_motion import inverse

Floats = NDArray[np.float64]
_SPACING_MM = 2.0
"""Both sessions are compared on one isotropic grid of the participant's space, so that neither
is smoother than the other there: an image that is interpolated shrinks against one that is
not. Only the comparison is made on it."""
_MARGIN_MM = 10.0
_ITERATIONS = (20, 8)
"""At twice the spacing and at the spacing; what is left after the rigid step is small."""
_METRIC = "NCC 2x2x2"
"""The sessions share their contrast, and local correlation does not mind a bias field."""
_HALF_WIDTH = 0.5  # standard deviation of the smoothing, in voxels a factor of coarsening


@dataclass(frozen=True, slots=True)
class _Seen:
    """One session as the others see it: FLAIR and brain on the shared grid."""

    image: Image
    brain: Image


def residual_maps(
    images: Sequence[Image],
    brains: Sequence[Image],
    to_participant: Sequence[Affine],
    pairs: Sequence[tuple[int, int]],
    *,
    centre: Floats,
) -> list[Floats]:
    """Logarithm of the affine map from the mean geometry to each session's.

    Every pair is registered in both directions and the two answers are averaged; least
    squares over the pairs then give each session's place, with mean zero. The order of the
    sessions does not matter.

    Parameters
    ----------
    images, brains : FLAIRs and their brain masks, undistorted. to_participant : rigid.
    pairs : (i, j) that connect all sessions. centre : (3,) of the brain, participant space.

    Returns
    -------
    (4, 4) a session, about `centre`; exact for two sessions, to second order (0.01% for a
    drift of 1%) for more.
    """
    seen = [
        _on_shared_grid(image, brain, motion, brains=brains, to_participant=to_participant)
        for image, brain, motion in zip(images, brains, to_participant, strict=True)
    ]
    between = {
        (i, j): 0.5 * (_residual(seen[i], seen[j], centre) - _residual(seen[j], seen[i], centre))
        for i, j in pairs
    }
    return shared_out(between, len(images))


def shared_out(between: Mapping[tuple[int, int], Floats], count: int) -> list[Floats]:
    """Values m with mean zero that explain the differences ``m_j - m_i`` best."""
    incidence = np.zeros((len(between), count))
    for row, (i, j) in enumerate(between):
        incidence[row, i], incidence[row, j] = -1.0, 1.0
    stacked = np.stack([value.ravel() for value in between.values()])
    found = np.linalg.pinv(incidence) @ stacked
    return [row.reshape(next(iter(between.values())).shape) for row in found]


def stretch_of(residual: Floats) -> Floats:
    """The (3, 3) symmetric part: scale and shear without rotation and shift."""
    linear = residual[:3, :3]
    return np.asarray(0.5 * (linear + linear.T), dtype=np.float64)


def taken_out(residual: Floats, to_participant: Affine, *, centre: Floats) -> Affine:
    """`to_participant` that also undoes the residual map."""
    about = _shift(centre)
    return np.asarray(about @ expm(-residual) @ inverse(about) @ to_participant, dtype=np.float64)


def _residual(fixed: _Seen, moving: _Seen, centre: Floats) -> Floats:
    """What is left between two sessions after their rigid motion, in participant space."""
    left = affine_registration(
        fixed.image,
        moving.image,
        metric=_METRIC,
        iterations=_ITERATIONS,
        start=np.eye(4),
        masks={"-gm": with_margin(fixed.brain)},
    )
    about = _shift(centre)
    return np.asarray(logm(inverse(about) @ left @ about), dtype=np.float64)


def _on_shared_grid(
    image: Image,
    brain: Image,
    motion: Affine,
    *,
    brains: Sequence[Image],
    to_participant: Sequence[Affine],
) -> _Seen:
    """A FLAIR and its brain on the grid around all brains, smoothed to its spacing."""
    corners = np.concatenate(
        [_world_box(mask, to) for mask, to in zip(brains, to_participant, strict=True)],
        axis=1,
    )
    first = corners.min(axis=1) - _MARGIN_MM
    shape = np.ceil((corners.max(axis=1) + _MARGIN_MM - first) / _SPACING_MM).astype(int) + 1
    affine = np.diag([_SPACING_MM, _SPACING_MM, _SPACING_MM, 1.0])
    affine[:3, 3] = first
    width = [_HALF_WIDTH * max(0.0, _SPACING_MM / edge - 1) for edge in image.voxel_sizes_mm]
    smooth = image.with_voxels(ndimage.gaussian_filter(image.voxels.astype(np.float32), width))
    grid: dict[str, Any] = {"shape": tuple(map(int, shape)), "affine": affine}
    back = inverse(motion)
    return _Seen(
        image=resample(smooth, **grid, image_from_target=back, interpolation="cubic"),
        brain=resample(brain, **grid, image_from_target=back, interpolation="nearest"),
    )


def _world_box(mask: Image, to_participant: Affine) -> Floats:
    """(3, 8) corners of a mask's bounding box, in participant space."""
    inside = np.argwhere(mask.voxels > 0)
    ends = np.stack([inside.min(axis=0), inside.max(axis=0)])
    corners = np.array(list(itertools.product(*ends.T)), dtype=np.float64).T
    world = to_participant @ mask.affine
    return np.asarray(world[:3, :3] @ corners + world[:3, 3:], dtype=np.float64)


def _shift(vector: Floats) -> Affine:
    matrix = np.eye(4)
    matrix[:3, 3] = vector
    return matrix
