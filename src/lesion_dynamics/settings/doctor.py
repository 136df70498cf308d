"""Settings of ``lesion-dynamics doctor``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from lesion_dynamics.settings.cache import CacheSettings
from lesion_dynamics.settings.strict import Strict
from lesion_dynamics.settings.tracking import TrackingSettings


class DoctorSettings(Strict):
    """What the set-up is held against.

    outputs : folders that commands write into. constraints : file of the tested versions.
    free_gb, memory_gb : less than this is a problem (10^9 bytes).
    shared_memory_gb : less than this in /dev/shm is said; loaders of several processes need it.
    data : whether the bytes of the data folder are compared with data.dvc; reads them all once.
    open_ms_data : folder of the open MS data; one that is not there is only said.
    as_json : one JSON object instead of the table.
    """

    tracking: TrackingSettings
    cache: CacheSettings
    outputs: tuple[Path, ...]
    constraints: Path
    free_gb: float = Field(ge=0)
    memory_gb: float = Field(ge=0)
    shared_memory_gb: float = Field(ge=0)
    data: bool = False
    open_ms_data: Path
    as_json: bool = False
