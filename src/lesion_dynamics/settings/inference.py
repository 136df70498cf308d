"""Settings of ``infer.py``: a cohort, a model version, and where and how to run; nothing else.

Sequences, spacing, normalisation, window and operating point belong to the model version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from lesion_dynamics.settings.cache import CacheSettings
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.engine import EngineName, TestTimeAugmentation
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

    model_version : ``name/number``, ``name@alias``, or a folder that ``train.py`` wrote; several
        joined by ``+`` are an ensemble, whose probability is the mean.
    engine : what runs the network. tta : test-time augmentation.
    mni : ``affine`` or ``deformable`` also writes each lesion mask in MNI152 space, with the
        transforms; ``none`` does not. Volumes are native in any case.
    output : receives ``<cohort>/<name>-v<number>/``.
    """

    cohort: CohortSettings
    model_version: str = Field(min_length=1)
    engine: EngineName = "auto"
    tta: TestTimeAugmentation = "none"
    executor: ExecutorSettings
    tracking: TrackingSettings
    mni: Literal["none", "affine", "deformable"] = "none"
    cache: CacheSettings
    quality: QualitySettings
    output: Path
