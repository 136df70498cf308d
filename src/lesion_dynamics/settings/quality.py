"""Limits of quality control. They flag scans; no scan is left out because of them."""

from __future__ import annotations

from pydantic import Field

from lesion_dynamics.settings.strict import Strict


class QualitySettings(Strict):
    """Which scans are flagged for somebody to look at.

    robust_z_limit : a scan further than this from the median of the scans it is compared with,
        on the bad side, in robust standard deviations (1.4826 times the median absolute
        deviation), is flagged.
    fewest_scans : scans of the same scanner are compared with each other where there are so
        many, and else with the whole cohort; in a cohort of fewer none is compared at all.
    brain_at_edge_limit_mm2 : flagged above this whatever the cohort is like.
    missing_slices_limit : likewise.
    """

    robust_z_limit: float = Field(ge=1.0)
    fewest_scans: int = Field(ge=5)
    brain_at_edge_limit_mm2: float = Field(ge=0.0)
    missing_slices_limit: int = Field(ge=0)
