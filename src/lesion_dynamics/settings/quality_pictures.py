"""Settings of ``lesion-dynamics quality``: pictures of scans that ``infer.py`` has segmented."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lesion_dynamics.settings.cache import CacheSettings
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.inference import ExecutorSettings
from lesion_dynamics.settings.strict import Strict


class QualityPicturesSettings(Strict):
    """All of ``lesion-dynamics quality``.

    derivatives : the folder of one model version that ``infer.py`` wrote; pictures go into its
        folder ``quality``.
    pictures : a picture of every scan, of those with a flag, or none; the contact sheets always
        hold all scans.
    """

    cohort: CohortSettings
    executor: ExecutorSettings
    cache: CacheSettings
    derivatives: Path
    pictures: Literal["all", "flagged", "none"]
