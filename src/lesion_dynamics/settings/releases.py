"""Settings of the commands that carry and compare model versions."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from lesion_dynamics.settings.strict import Strict
from lesion_dynamics.settings.tracking import TrackingSettings

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class ExportSettings(Strict):
    """``lesion-dynamics export``.

    model_version : ``name/number``, ``name@alias``, or a folder that ``train.py`` wrote.
    file : the archive to write; an existing folder receives ``<name>-v<number>.zip``.
    """

    model_version: str = Field(min_length=1)
    file: Path
    tracking: TrackingSettings


class ImportSettings(Strict):
    """``lesion-dynamics import file=...``.

    file : an archive that ``export`` wrote.
    name : registered name here; None: the name it had there. The number is the next of that
        name in this registry.
    """

    file: Path
    name: str | None = Field(default=None, pattern=NAME)
    tracking: TrackingSettings


class ParitySettings(Strict):
    """``lesion-dynamics parity``: two versions on the same scans.

    first, second : a derivatives folder, or a model version whose derivatives lie in
        ``derivatives``.
    derivatives : folder of the cohort that holds ``<name>-v<number>/``.
    dice_limit : a participant with a scan below it is beyond the limits.
    volume_limit_percent : so is one whose volume differs by more, of the first's volume,
    volume_limit_mm3 : and by more than this many mm3 (both must be exceeded).
    output : receives ``parity.tsv`` and ``parity.json``.
    """

    first: str = Field(min_length=1)
    second: str = Field(min_length=1)
    derivatives: Path
    dice_limit: float = Field(ge=0, le=1)
    volume_limit_percent: float = Field(ge=0)
    volume_limit_mm3: float = Field(ge=0)
    output: Path
    tracking: TrackingSettings
