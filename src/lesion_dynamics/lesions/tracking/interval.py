"""What became of every lesion between two sessions.

The definitions, their sources and their limits stand in ``docs/lesions.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.lesions.box import box_around
from lesion_dynamics.lesions.measurement import VOLUME_DECIMALS
from lesion_dynamics.lesions.operating_point import label_lesions
from lesion_dynamics.lesions.tracking.families import FamilyTable, family_table
from lesion_dynamics.lesions.tracking.neighbourhood import padded, reach_voxels
from lesion_dynamics.lesions.tracking.noise import VolumeNoise, noise_margin_mm3
from lesion_dynamics.settings.lesions_in_time import TrackingRules
from lesion_dynamics.settings.operating_point import Connectivity

Change = Literal[
    "new", "enlarging", "stable", "shrinking", "resolved", "merged", "split", "too_small"
]
CHANGES: tuple[Change, ...] = (
    "new", "enlarging", "stable", "shrinking", "resolved", "merged", "split", "too_small",
)  # fmt: skip

_CHANGE: dict[str, Change] = {change: change for change in CHANGES}
Floats = NDArray[np.float64]
Verdicts = NDArray[Any]
"""A `Change` a family, as text."""

_ROUNDING = 1e-6

MAP_LABELS = {"stable": 1, "new": 2, "enlarging": 3, "shrinking": 4, "resolved": 5}
"""Labels of a map of change. A family that merged or split has the label of its volume."""


@dataclass(frozen=True, slots=True)
class TrackedLesion:
    """One lesion, or one family of lesions that merged or split, over an interval.

    change : new and resolved: without a partner, of the least volume or more; too_small:
        without a partner, and smaller. merged: several before; split: one before, several after.
    volume_change : enlarging, stable or shrinking beyond the margin, also of what merged or
        split; new, resolved and too_small as in ``change``.
    joined : new, and grown together with a lesion that was there before.
    earlier, later : labels at either session; of a joined lesion ``later`` names the one it is
        part of.
    earlier_volume_mm3, later_volume_mm3, margin_mm3 : on the grid of the tracking; 0.0 where
        there is no lesion. margin_mm3 is the change that noise may explain.
    centre_mm : centre of mass in the world of the grid, at the later session where it is there.
    """

    change: Change
    volume_change: Change
    joined: bool
    earlier: tuple[int, ...]
    later: tuple[int, ...]
    earlier_volume_mm3: float
    later_volume_mm3: float
    margin_mm3: float
    centre_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class TrackedInterval:
    """lesions : in a stable order. change_map : (x, y, z) uint8 of `MAP_LABELS`, 0 elsewhere."""

    lesions: tuple[TrackedLesion, ...]
    change_map: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class LabelledSession:
    """The lesions of one session on the grid of the tracking.

    labels : (x, y, z) int32, 1..count. box : that holds all of them, where it is known.
    """

    labels: NDArray[np.int32]
    count: int
    box: tuple[slice, slice, slice] | None = None

    @classmethod
    def of_mask(cls, mask: NDArray[Any], *, connectivity: Connectivity) -> LabelledSession:
        """Label a mask, nonzero = lesion; only the box that holds lesions is looked at."""
        box = box_around(mask != 0)
        labels = np.zeros(mask.shape, dtype=np.int32)
        labels[box], count = label_lesions(mask[box], connectivity=connectivity)
        return cls(labels, count, box)


def track_interval(
    earlier: LabelledSession,
    later: LabelledSession,
    *,
    affine: Affine,
    rules: TrackingRules,
    noise: VolumeNoise | None = None,
) -> TrackedInterval:
    """Match the lesions of two sessions on one grid and say what became of each.

    Parameters
    ----------
    affine : (4, 4) voxel indices to the participant's space, mm; axes at right angles.
    noise : of the model version; None: the shell of ``rules.boundary_mm`` instead.

    Raises
    ------
    ValueError : the grids differ.
    """
    if earlier.labels.shape != later.labels.shape:
        raise ValueError(f"shapes differ: {earlier.labels.shape} and {later.labels.shape}")
    edges = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    spacing = (float(edges[0]), float(edges[1]), float(edges[2]))
    box = _box_of_both(earlier, later)
    width = _border(rules, spacing)
    before, after = (padded(one.labels[box], width) for one in (earlier, later))
    table = family_table(
        before, after, counts=(earlier.count, later.count), rules=rules, spacing_mm=spacing
    )
    margins = _margins(table, rules, noise)
    changes, volume_changes = _verdicts(table, margins, rules)
    origin = [part.start - by for part, by in zip(box, width, strict=True)]
    centres = _centres_mm(table, before.shape, affine, np.array(origin, dtype=np.float64))
    lesions = _lesions(table, changes, volume_changes, margins, centres)
    change_map = np.zeros(earlier.labels.shape, dtype=np.uint8)
    inner = tuple(slice(by, size - by) for by, size in zip(width, before.shape, strict=True))
    change_map[box] = _painted(table, volume_changes, before.shape)[inner]
    return TrackedInterval(lesions, change_map)


def _box_of_both(earlier: LabelledSession, later: LabelledSession) -> tuple[slice, slice, slice]:
    """The smallest box that holds every lesion of both."""
    held = [one.box or box_around(one.labels != 0) for one in (earlier, later) if one.count]
    if not held:
        return box_around(earlier.labels != 0)
    x, y, z = (
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*held, strict=True)
    )
    return x, y, z


def _border(rules: TrackingRules, spacing: tuple[float, float, float]) -> tuple[int, ...]:
    reaches = [
        reach_voxels(distance, spacing)
        for distance in (rules.tolerance_mm, rules.joined_distance_mm)
    ]
    return tuple(max(1, *both) for both in zip(*reaches, strict=True))


def _margins(table: FamilyTable, rules: TrackingRules, noise: VolumeNoise | None) -> Floats:
    if noise is None:
        return table.surface_mm2 * rules.boundary_mm
    return noise_margin_mm3(
        (table.earlier_mm3 + table.later_mm3) / 2,
        total_mm3=float(table.earlier_mm3.sum() + table.later_mm3.sum()) / 2,
        noise=noise,
        limit=rules.noise_limit,
    )


def _verdicts(
    table: FamilyTable, margins: Floats, rules: TrackingRules
) -> tuple[Verdicts, Verdicts]:
    """The change of each family, and that of its volume."""
    before, after = table.earlier_mm3, table.later_mm3
    large = before + after >= rules.minimum_new_volume_mm3 * (1 - _ROUNDING)
    # Beyond the rounding of a sum: no change at all does not exceed a margin of 0.
    grown = np.where(after - before > margins + _ROUNDING, "enlarging", "stable")
    volume = np.where(before - after > margins + _ROUNDING, "shrinking", grown)
    volume = np.where(before == 0, np.where(large, "new", "too_small"), volume)
    volume = np.where(after == 0, np.where(large, "resolved", "too_small"), volume)
    both = (before > 0) & (after > 0)
    change = np.where(both & (table.later_count > 1), "split", volume)
    change = np.where(both & (table.earlier_count > 1), "merged", change)
    return change, volume


def _lesions(
    table: FamilyTable,
    changes: Verdicts,
    volume_changes: Verdicts,
    margins: Floats,
    centres: Floats,
) -> tuple[TrackedLesion, ...]:
    members: tuple[dict[int, list[int]], dict[int, list[int]]] = ({}, {})
    for found, of in zip(members, (table.earlier_of, table.later_of), strict=True):
        for label, family in enumerate(of.tolist(), start=1):
            found.setdefault(family, []).append(label)
    for number, host in enumerate(table.host.tolist(), start=table.first_joined):
        members[1][number] = [host]
    joined = table.joined
    return tuple(
        TrackedLesion(
            change=_CHANGE[str(changes[family])],
            volume_change=_CHANGE[str(volume_changes[family])],
            joined=bool(joined[family]),
            earlier=tuple(members[0].get(family, ())),
            later=tuple(members[1].get(family, ())),
            earlier_volume_mm3=round(float(table.earlier_mm3[family]), VOLUME_DECIMALS),
            later_volume_mm3=round(float(table.later_mm3[family]), VOLUME_DECIMALS),
            margin_mm3=round(float(margins[family]), VOLUME_DECIMALS),
            centre_mm=tuple(round(float(value), 2) for value in centres[family]),  # type: ignore[arg-type]
        )
        for family in range(len(changes))
    )


def _centres_mm(
    table: FamilyTable, shape: tuple[int, ...], affine: Affine, origin: Floats
) -> Floats:
    """(families, 3) centres of mass: later where there is something, else earlier."""
    count = len(table.earlier_mm3)
    centres = np.zeros((count, 3))
    for own in (table.earlier, table.later):
        voxels = own.sums(count)
        there = voxels > 0
        for axis, index in enumerate(np.unravel_index(own.places, shape)):
            summed = own.sums(count, index.astype(np.float64))
            centres[there, axis] = summed[there] / voxels[there]
    centres += origin
    return np.asarray(centres @ affine[:3, :3].T + affine[:3, 3], dtype=np.float64)


def _painted(
    table: FamilyTable, volume_changes: Verdicts, shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    labels = [MAP_LABELS.get(str(change), 0) for change in volume_changes]
    of_family = np.array([0, *labels], dtype=np.uint8)
    painted = np.zeros(shape, dtype=np.uint8)
    flat = painted.reshape(-1)
    before = of_family[table.earlier.family]
    flat[table.earlier.places] = np.where(before == MAP_LABELS["resolved"], before, 0)
    flat[table.later.places] = of_family[table.later.family]
    return painted
