"""Settings of the three commands by which corrected masks come back as labels."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.settings.strict import Strict

RANKING_FILE = "review_priority.tsv"


class RankScansSettings(Strict):
    """All of ``lesion-dynamics rank-scans``.

    derivatives : folders of model versions on one cohort; the first is the one to be corrected,
        the others are compared with it. The table goes into the first.
    """

    derivatives: tuple[Path, ...] = Field(min_length=1)


class LayOutCorrectionsSettings(Strict):
    """All of ``lesion-dynamics lay-out-corrections``.

    derivatives : folder of the model version whose masks are to be corrected, ranked before.
    scans : so many, from the top of the ranking.
    output : receives a folder a scan.
    """

    cohort: CohortSettings
    derivatives: Path
    scans: int = Field(ge=1)
    output: Path


class TakeCorrectionsSettings(Strict):
    """All of ``lesion-dynamics take-corrections``.

    corrections : the folder that was laid out. Masks become reference masks of the cohort, below
        ``cohort.reference_masks``.
    corrected_by : a code for the person, as it may stand in a public dataset.
    unchanged : whether a mask that nobody changed becomes a reference mask (``take``: looked at
        and found right) or not (``leave``).
    replace : whether reference masks that are there already may be replaced.
    """

    cohort: CohortSettings
    corrections: Path
    corrected_by: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    unchanged: Literal["leave", "take"]
    replace: bool
