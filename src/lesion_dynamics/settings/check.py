"""Settings of ``lesion-dynamics check``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.strict import Strict
from lesion_dynamics.settings.study import StudySettings

Sequence = Literal["FLAIR", "T1w", "T2w", "PDw"]


class CheckSettings(Strict):
    """Everything that the check of a cohort can be told.

    required_sequences : a scan without one of them is left out; FLAIR always is one.
    optional_sequences : looked at where they are there.
    pixels : read every voxel too, after the headers.
    processes : on this machine; 0 is one a core.
    shown_findings : how many are printed; all of them are written.
    study : its washout_days is the rule of remission.
    output : folder of the tables.
    """

    cohort: CohortSettings
    required_sequences: tuple[Sequence, ...]
    optional_sequences: tuple[Sequence, ...]
    pixels: bool
    processes: int = Field(ge=0)
    shown_findings: int = Field(ge=0)
    study: StudySettings
    output: Path
