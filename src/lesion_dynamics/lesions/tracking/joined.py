"""New lesions that have grown together with a lesion that was there before.

A new lesion beside an old one is part of it in the later mask, and would pass for its growth.
Growth moves a boundary; a new lesion reaches beyond. So what lies further from every earlier
lesion than a boundary moves is the core of a new one, and what was healthy around the core
belongs to it. Its centre must lie outside of what was there before: a lesion that grew on all
sides leaves a shell around itself, and no new lesion.
"""

from __future__ import annotations

import cc3d
import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.lesions.tracking.neighbourhood import ball_steps

Labels = NDArray[np.int32]


def joined_lesions(
    earlier: Labels,
    later: Labels,
    *,
    later_places: NDArray[np.int64],
    matched: NDArray[np.bool_],
    distance_mm: float,
    minimum_voxels: float,
    spacing_mm: tuple[float, float, float],
) -> Labels:
    """Number the new lesions inside later lesions that have an earlier partner.

    Parameters
    ----------
    earlier, later : (x, y, z) labels, with a border without lesions as wide as the distance.
    later_places : flat indices of the voxels of ``later`` that hold a lesion.
    matched : (labels + 1,) whether a later lesion has a partner; False at 0.
    minimum_voxels : a core that holds less is growth.

    Returns
    -------
    (len(later_places),) numbers 1..n of the new lesions, 0 elsewhere.
    """
    before, after = earlier.ravel(), later.ravel()
    steps = ball_steps(distance_mm, spacing_mm=spacing_mm, shape=earlier.shape)
    gained = later_places[matched[after[later_places]] & (before[later_places] == 0)]
    far = gained
    for step in steps:  # nearest first: most of what is near is gone after a few
        far = far[before[far + step] == 0]
    if not len(far):
        return np.zeros(len(later_places), dtype=np.int32)
    # By label, not as a mask: cores of two later lesions are two, however near they lie.
    numbers = _components(far, after[far], earlier.shape)
    large = np.bincount(numbers) >= max(minimum_voxels, 1.0) * (1 - 1e-6)
    # A lesion that grew on all sides leaves a shell: its centre lies in what was there before.
    large &= before[_centres(far, numbers, earlier.shape)] == 0
    kept = np.zeros(len(large), dtype=np.int64)
    kept[large] = np.arange(1, int(large.sum()) + 1)
    far, numbers = far[large[numbers]], kept[numbers[large[numbers]]]
    found = np.zeros(earlier.size, dtype=np.int32)
    for step in steps:  # nearest first: the nearest core takes a voxel
        at = far + step
        mine = (found[at] == 0) & (before[at] == 0) & (after[at] == after[far])
        found[at[mine]] = numbers[mine]
    return found[later_places]


def _components(
    places: NDArray[np.int64], labels: Labels, shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Connected component, 1..n, of each voxel among those of its label; in the voxels' box."""
    index = np.array(np.unravel_index(places, shape))
    low = index.min(axis=1)
    inside = tuple(index - low[:, None])
    box = np.zeros(index.max(axis=1) - low + 1, dtype=np.int32)
    box[inside] = labels
    return np.asarray(cc3d.connected_components(box, connectivity=26)[inside], dtype=np.int64)


def _centres(
    places: NDArray[np.int64], numbers: NDArray[np.int64], shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Flat index of the voxel at the centre of mass of each number, 0..n; of an absent one 0."""
    voxels = np.maximum(np.bincount(numbers), 1)
    index = [
        np.rint(np.bincount(numbers, weights=axis) / voxels).astype(np.int64)
        for axis in np.unravel_index(places, shape)
    ]
    return np.ravel_multi_index((index[0], index[1], index[2]), shape).astype(np.int64)
