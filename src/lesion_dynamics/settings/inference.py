"""Settings of ``infer.py``: a cohort, a model version, and where and how to run; nothing else.

Sequences, spacing, normalisation, window and operating point belong to the model version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from lesion_dynamics.settings.cache import CacheSettings
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.quality import QualitySettings
from lesion_dynamics.settings.strict import Strict
from lesion_dynamics.settings.tracking import TrackingSettings


class ExecutorSettings(Strict):
    """Processes on this machine.

    processes : participants at once; 0 is one a core. threads_per_process : torch threads.
    """

    processes: int = Field(ge=0)
    threads_per_process: int = Field(ge=1)


class InferSettings(Strict):
    """All of ``infer.py``.

    model_version : ``name/number``, ``name@alias``, or a folder that ``train.py`` wrote.
    longitudinal : ``shared`` lets a participant's aligned sessions inform each other where the
        image did not change; the outputs are those of ``<name>-v<number>-longitudinal``. ``none``:
        every scan by itself.
    mni : ``affine`` or ``deformable`` also writes each lesion mask in MNI152 space, with the
        transforms; ``none`` does not. Volumes are native in any case.
    output : receives ``<cohort>/<name>-v<number>/``.
    """

    cohort: CohortSettings
    model_version: str = Field(min_length=1)
    executor: ExecutorSettings
    tracking: TrackingSettings
    longitudinal: Literal["none", "shared"] = "none"
    mni: Literal["none", "affine", "deformable"] = "none"
    cache: CacheSettings
    quality: QualitySettings
    output: Path

    @model_validator(mode="after")
    def _sessions_that_share_are_aligned(self) -> InferSettings:
        if self.longitudinal != "none" and self.cohort.session_alignment == "none":
            raise ValueError("longitudinal=shared needs cohort.session_alignment=rigid")
        return self
