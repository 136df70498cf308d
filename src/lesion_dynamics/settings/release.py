"""Settings of ``lesion-dynamics release``: the study for a new model version, beside all others."""

from __future__ import annotations

from pathlib import Path

from lesion_dynamics.settings.inference import CohortInferenceSettings
from lesion_dynamics.settings.study import StudySettings


class ReleaseSettings(CohortInferenceSettings):
    """What ``infer.py`` and ``analyze.py`` would be told, once.

    derivatives : receives ``<cohort>/<name>-v<number>/``; every version that lies there is part
        of the study. output : folder of the results.
    new_lesions, study, report : as for ``analyze.py``.
    """

    study: StudySettings
    new_lesions: Path | None = None
    report: bool = True
    derivatives: Path
    output: Path
