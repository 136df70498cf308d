"""Settings of ``lesion-dynamics release``: the study for a new model version, beside all others."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from lesion_dynamics.settings.cache import CacheSettings
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.inference import ExecutorSettings
from lesion_dynamics.settings.quality import QualitySettings
from lesion_dynamics.settings.strict import Strict
from lesion_dynamics.settings.study import StudySettings
from lesion_dynamics.settings.tracking import TrackingSettings


class ReleaseSettings(Strict):
    """What ``infer.py`` and ``analyze.py`` would be told, once.

    derivatives : receives ``<cohort>/<name>-v<number>/``; every version that lies there is part
        of the study. output : folder of the results.
    """

    cohort: CohortSettings
    model_version: str = Field(min_length=1)
    study: StudySettings
    executor: ExecutorSettings
    tracking: TrackingSettings
    cache: CacheSettings
    quality: QualitySettings
    mni: Literal["none", "affine", "deformable"]
    derivatives: Path
    output: Path
