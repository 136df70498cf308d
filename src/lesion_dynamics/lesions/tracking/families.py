"""Families of lesions with their sizes and places: everything that the verdict needs, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.lesions.tracking.joined import joined_lesions
from lesion_dynamics.lesions.tracking.matching import match
from lesion_dynamics.lesions.tracking.noise import surfaces_mm2
from lesion_dynamics.settings.lesions_in_time import TrackingRules

Labels = NDArray[np.int32]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Voxels:
    """places : flat (C order) indices. family : of each of these voxels, 1..count."""

    places: Counts
    family: Counts

    def sums(self, count: int, weights: Floats | None = None) -> Floats:
        """Over the voxels of each family: their number, or the sum of their weights."""
        summed = np.bincount(self.family, weights=weights, minlength=count + 1)[1:]
        return summed.astype(np.float64)


@dataclass(frozen=True, slots=True)
class FamilyTable:
    """Families of one interval.

    earlier, later : voxels of the lesions of either session.
    host : (joined,) label of the later lesion that each joined new lesion is part of.
    earlier_of, later_of : (lesions,) family of each label - 1, at either session.
    first_joined : families from this one on are joined new lesions, in the order of ``host``.
    earlier_mm3, later_mm3 : volume. surface_mm2 : mean of both sessions.
    earlier_count, later_count : lesions.
    """

    earlier: Voxels
    later: Voxels
    host: Counts
    earlier_of: Counts
    later_of: Counts
    first_joined: int
    earlier_mm3: Floats
    later_mm3: Floats
    surface_mm2: Floats
    earlier_count: Counts
    later_count: Counts

    @property
    def joined(self) -> NDArray[np.bool_]:
        """Whether the family is a new lesion that grew together with an old one."""
        return np.arange(len(self.earlier_mm3)) >= self.first_joined


def family_table(
    before: Labels,
    after: Labels,
    *,
    counts: tuple[int, int],
    rules: TrackingRules,
    spacing_mm: tuple[float, float, float],
) -> FamilyTable:
    """Match two labelled arrays and measure the families.

    Parameters
    ----------
    before, after : labels, with a border without lesions as wide as the rules reach.
    counts : of lesions, earlier and later.
    """
    voxel = float(np.prod(spacing_mm))
    places = [np.flatnonzero(labels != 0) for labels in (before, after)]
    labels = [one.ravel()[at] for one, at in zip((before, after), places, strict=True)]
    sizes = [
        np.bincount(own, minlength=count + 1)[1:] for own, count in zip(labels, counts, strict=True)
    ]
    families = match(
        before,
        after,
        later_places=places[1],
        earlier_voxels=sizes[0],
        later_voxels=sizes[1],
        overlap_share=rules.overlap_share,
        tolerance_mm=rules.tolerance_mm,
        spacing_mm=spacing_mm,
    )
    has_partner = np.concatenate([[False], np.isin(families.of_later, families.of_earlier)])
    joined = joined_lesions(
        before,
        after,
        later_places=places[1],
        matched=has_partner,
        distance_mm=rules.joined_distance_mm,
        minimum_voxels=rules.minimum_new_volume_mm3 / voxel,
        spacing_mm=spacing_mm,
    )
    earlier = Voxels(places[0], families.of_earlier[labels[0] - 1] + 1)
    later = Voxels(
        places[1],
        np.where(joined > 0, families.count + joined, families.of_later[labels[1] - 1] + 1),
    )
    added = int(joined.max(initial=0))
    count = families.count + added
    host = np.zeros(added, dtype=np.int64)
    host[joined[joined > 0] - 1] = labels[1][joined > 0]
    volumes = [one.sums(count) * voxel for one in (earlier, later)]
    surfaces = [
        surfaces_mm2(one, places=own.places, numbers=own.family, count=count, spacing_mm=spacing_mm)
        for one, own in zip((before, after), (earlier, later), strict=True)
    ]
    sessions = np.maximum((volumes[0] > 0).astype(np.int64) + (volumes[1] > 0), 1)
    return FamilyTable(
        earlier=earlier,
        later=later,
        host=host,
        earlier_of=families.of_earlier,
        later_of=families.of_later,
        first_joined=families.count,
        earlier_mm3=volumes[0],
        later_mm3=volumes[1],
        surface_mm2=(surfaces[0] + surfaces[1]) / sessions,
        earlier_count=np.bincount(families.of_earlier, minlength=count),
        later_count=np.bincount(families.of_later, minlength=count),
    )
