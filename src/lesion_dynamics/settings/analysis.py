"""Everything that ``analyze.py`` can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.strict import Strict
from lesion_dynamics.settings.study import StudySettings


class AnalyzeSettings(Strict):
    """From tables of lesion volumes to the study's tables and figures.

    cohort : whose diagnoses, dates and attacks are used; its images are not opened.
    measurements : tables of lesion volumes, or folders that hold ``lesion_measurements.tsv``
        themselves or one level below; ``*`` and ``?`` are expanded. One path may stand alone.
    new_lesions : table of tracked new lesions (`longitudinal.new_lesions.TRACKED_COLUMNS`);
        None: ``lesion_intervals.tsv`` beside the measurements where ``lesion-dynamics track``
        wrote one, else rises of lesion_count stand in for it.
    study : the rules of the analysis.
    output : folder of the results.
    report : whether the pages to look at are made, into ``<output>/report``.
    """

    cohort: CohortSettings
    measurements: tuple[str, ...] = Field(min_length=1)
    new_lesions: Path | None = None
    study: StudySettings
    output: Path
    report: bool = True

    @field_validator("measurements", mode="before")
    @classmethod
    def _one_path_may_stand_alone(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value
