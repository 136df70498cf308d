"""Settings of ``lesion-dynamics release``: the study for a new model version, beside all others."""

from __future__ import annotations

from pathlib import Path

from pydantic import field_validator

from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.settings.study import StudySettings


class ReleaseSettings(InferSettings):
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

    @field_validator("part")
    @classmethod
    def _of_the_whole_cohort(cls, value: str | None) -> str | None:
        if value is not None:
            raise ValueError("a release is of the whole cohort: parts are infer.py's")
        return value
