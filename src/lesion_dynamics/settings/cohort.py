"""Which scans, where they lie, and what was already done to them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from lesion_dynamics.settings.strict import Strict


class Prepared(Strict):
    """What was done to the scans before they came here; it is not done again."""

    skull_stripped: bool = False
    sequences_aligned: bool = False
    bias_corrected: bool = False


ANY_SCANNER = "any"
"""In place of a scanner's name: all those that are not named."""


class DistortionSettings(Strict):
    """What the cohort's scanners do to geometry.

    gradient_coefficients : scanner, as the tables name it (or ``any``), to its vendor's file
        of gradient coefficients; the non-linearity is then corrected (gradunwarp). Not for
        images that the scanner corrected itself in three dimensions.
    correct_drift : take out the scale and shear by which a session differs from the mean of
        its participant's sessions. They are reported in any case where sessions are aligned.
    """

    gradient_coefficients: dict[str, Path] = Field(default_factory=dict)
    correct_drift: bool = False


class CohortSettings(Strict):
    """One cohort.

    name : short name, used in output paths and tables.
    layout : ``bids``, ``manifest`` (one table that names the files) or ``open_ms`` (Ljubljana,
        as upstream lays it out). A setting that a layout does not read is refused by it.
    root : folder of the cohort.
    manifest : the table below ``root``, .tsv or .csv. Layout manifest alone.
    prefer : which file is taken where a session has several runs or acquisitions of a sequence;
        the entries and their order are those of ``cohort/sequence_choice.py``. Layout bids alone.
    prepared : what was done to the scans before.
    session_alignment : ``rigid`` brings the sessions of a participant into one unbiased space
        (greedy); ``none`` leaves them where they are.
    distortion : of the scanners, and what is corrected of it.
    reference_masks : folder of the reference masks (BIDS derivatives), for training.
    truth : table of true lesion volumes, where they are known (a phantom). Only the analysis
        reads it.
    """

    name: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]*$")
    layout: Literal["bids", "manifest", "open_ms"]
    root: Path
    manifest: str = Field(default="manifest.tsv", pattern=r"^[^/].*\.(?i:tsv|csv)$")
    prefer: tuple[str, ...] = ("plain", "no-ce", "every_session", "finest", "highest_run")
    prepared: Prepared = Prepared()
    session_alignment: Literal["none", "rigid"] = "none"
    distortion: DistortionSettings = DistortionSettings()
    reference_masks: Path | None = None
    truth: Path | None = None

    @model_validator(mode="after")
    def _drift_is_between_aligned_sessions(self) -> CohortSettings:
        if self.distortion.correct_drift and self.session_alignment == "none":
            raise ValueError("distortion.correct_drift needs session_alignment=rigid")
        return self
