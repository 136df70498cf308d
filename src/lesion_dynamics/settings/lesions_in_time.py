"""Rules by which the lesions of two sessions are the same, new, gone, larger or smaller."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.strict import Strict


class TrackingRules(Strict):
    """Rules of lesion tracking; ``docs/lesions.md`` gives the source of each.

    overlap_share : two lesions are one where they share this part of the smaller one.
    tolerance_mm : two lesions that overlap with nothing are one where they come so near to each
        other; what alignment and partial volume leave over.
    minimum_new_volume_mm3 : a lesion without a partner is new, or resolved, from this volume on;
        14 mm3 is a sphere of 3 mm diameter.
    joined_distance_mm : what a lesion holds beyond this distance from every lesion before, and
        from the volume of a new lesion on, is a new lesion that joined it, rather than growth.
    boundary_mm : a lesion has changed where its volume differs by more than its surface times
        this, in a model version without a repeatability record.
    noise_limit : standard deviations of the difference of two repeated volumes that a change must
        exceed, in a model version with a repeatability record; 1.96 is 95%.
    """

    overlap_share: float = Field(default=0.1, gt=0, le=1)
    tolerance_mm: float = Field(default=1.0, ge=0, le=3)
    minimum_new_volume_mm3: float = Field(default=14.0, ge=0)
    joined_distance_mm: float = Field(default=2.5, gt=0, le=6)
    boundary_mm: float = Field(default=0.3, ge=0)
    noise_limit: float = Field(default=1.96, gt=0)


class TrackSettings(Strict):
    """All of ``lesion-dynamics track``.

    processes : participants at once; 0 is one a core.
    derivatives : the folder of one model version that ``infer.py`` wrote; tables and maps of
        change go into it.
    spacing_mm : edge of the voxels of the grid in the participant's space.
    rules : what is the same lesion, and what is a change.
    """

    cohort: CohortSettings
    processes: int = Field(ge=0)
    derivatives: Path
    spacing_mm: float = Field(gt=0, le=3)
    rules: TrackingRules
