"""Settings of ``lesion-dynamics scan-pages``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.strict import Strict


class ScanPagesSettings(Strict):
    """All of ``lesion-dynamics scan-pages``.

    derivatives : the folder of one model version that ``infer.py`` wrote.
    compare : folders of other versions over the same cohort, shown beside it.
    output : receives the pages; null: the folder ``pages`` of ``derivatives``.
    largest_mb : of a participant's page; sessions are shown on a coarser grid until it fits.
    finest_mm : spacing of that grid where there is room; never finer than the scans.
    processes : participants at once; 0 is one a core.
    """

    cohort: CohortSettings
    derivatives: Path
    compare: tuple[Path, ...] = ()
    output: Path | None
    largest_mb: float = Field(gt=0.1)
    finest_mm: float = Field(ge=0.5)
    processes: int = Field(ge=0)
