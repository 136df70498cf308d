"""Which lesions of an earlier and a later session are the same: a graph of overlaps.

An edge joins two lesions that share at least a tenth of the smaller one, the condition by which
agreement with a reference counts a lesion as found (``lesions/agreement.py``). A lesion that
moved by a residual half voxel may overlap with nothing: what is left over on both sides is then
joined where it comes within a tolerance. The connected components of the graph are the *families*:
one lesion on either side, several that merged, one that split, or one without a partner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lesion_dynamics.lesions.tracking.neighbourhood import ball_steps

Labels = NDArray[np.int32]
Counts = NDArray[np.int64]

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Families:
    """The lesions of two sessions in families.

    of_earlier, of_later : (lesions,) number of the family of each lesion, by label - 1.
    count : of families.
    """

    of_earlier: Counts
    of_later: Counts
    count: int


def match(
    earlier: Labels,
    later: Labels,
    *,
    later_places: Counts,
    earlier_voxels: Counts,
    later_voxels: Counts,
    overlap_share: float,
    tolerance_mm: float,
    spacing_mm: tuple[float, float, float],
) -> Families:
    """Families of the lesions of two labelled arrays.

    Parameters
    ----------
    earlier, later : (x, y, z) labels 1..n, 0 = no lesion; one grid, and a border without
        lesions as wide as the tolerance.
    later_places : flat indices of the voxels of ``later`` that hold a lesion.
    earlier_voxels, later_voxels : (n,) size of each lesion.
    """
    before, after = earlier.ravel(), later.ravel()
    first, second, shared = _pairs(before[later_places], after[later_places])
    smaller = np.minimum(earlier_voxels[first - 1], later_voxels[second - 1])
    joined = shared >= overlap_share * smaller - _ROUNDING
    first, second = first[joined], second[joined]
    more = _near_pairs(
        before,
        after,
        later_places,
        alone_before=_without(first, len(earlier_voxels)),
        alone_after=_without(second, len(later_voxels)),
        steps=ball_steps(tolerance_mm, spacing_mm=spacing_mm, shape=earlier.shape),
    )
    first, second = (
        np.concatenate([known, found]) for known, found in zip((first, second), more, strict=True)
    )
    return _families(first, second, len(earlier_voxels), len(later_voxels))


def _pairs(first: Labels, second: Labels) -> tuple[Counts, Counts, Counts]:
    """Pairs of labels that occur at one place, and how often."""
    both = (first > 0) & (second > 0)
    base = int(second.max(initial=0)) + 1
    pairs, shared = np.unique(
        first[both].astype(np.int64) * base + second[both], return_counts=True
    )
    return pairs // base, pairs % base, shared.astype(np.int64)


def _without(matched: Counts, count: int) -> NDArray[np.bool_]:
    """Whether a label, 0..count, has no partner; False for 0."""
    alone = np.ones(count + 1, dtype=bool)
    alone[matched] = False
    alone[0] = False
    return alone


def _near_pairs(
    before: Labels,
    after: Labels,
    later_places: Counts,
    *,
    alone_before: NDArray[np.bool_],
    alone_after: NDArray[np.bool_],
    steps: Counts,
) -> tuple[Counts, Counts]:
    """Lesions without a partner on both sides that come near: each later one to its nearest."""
    places = later_places[alone_after[after[later_places]]]
    if not len(places) or not alone_before.any():
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    # Nearest first: the first ring that meets anybody decides.
    met = before[places[:, None] + steps[None, :]]
    found = np.where(alone_before[met], met, 0)
    ring = np.where(found > 0, np.arange(len(steps))[None, :], len(steps))
    nearest = ring.argmin(axis=1)
    rows = np.flatnonzero(ring.min(axis=1) < len(steps))
    order = np.lexsort((ring[rows, nearest[rows]], after[places[rows]]))
    rows = rows[order]
    later, start = np.unique(after[places[rows]], return_index=True)
    earlier = found[rows[start], nearest[rows[start]]]
    return earlier.astype(np.int64), later.astype(np.int64)


def _families(first: Counts, second: Counts, earlier: int, later: int) -> Families:
    size = earlier + later
    edges = coo_array(
        (np.ones(len(first), dtype=np.int8), (first - 1, earlier + second - 1)), shape=(size, size)
    )
    count, family = connected_components(edges, directed=False)
    numbers = family.astype(np.int64)
    return Families(numbers[:earlier], numbers[earlier:], int(count))
