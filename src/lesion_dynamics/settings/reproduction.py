"""Settings of ``lesion-dynamics reproduce``: a release made again from its lineage."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from lesion_dynamics.settings.strict import Strict
from lesion_dynamics.settings.tracking import TrackingSettings


class ReproduceSettings(Strict):
    """All of ``lesion-dynamics reproduce``.

    model_version : ``name/number``, ``name@alias``, or a folder that ``train.py`` wrote.
    into : a new folder; receives the clone and ``reproduction.json``. One that an interrupted
        reproduction of the same version left is gone on with.
    repository : that is cloned; a folder, or an address that git understands.
    derivatives : folder of the cohort that holds ``<name>-v<number>/``; None: weights alone.
    results : folder of the study that ``analyze.py`` made; None: weights and volumes alone.
    tracking : where the model version is registered.
    """

    model_version: str = Field(min_length=1)
    into: Path
    repository: str = Field(min_length=1)
    derivatives: Path | None
    results: Path | None
    tracking: TrackingSettings
