"""Units of work of lesion tracking, and where their results lie."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lesion_dynamics.atomic_files import hash_of_content, hash_of_file
from lesion_dynamics.cohort.bids_name import BidsName
from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.lesions.tracking.noise import VolumeNoise
from lesion_dynamics.longitudinal.new_lesions import TRACKED_FILE
from lesion_dynamics.settings.lesions_in_time import TrackingRules
from lesion_dynamics.settings.operating_point import Connectivity
from lesion_dynamics.source_hash import hash_of_source

LESIONS_FILE = "lesions.tsv"
INTERVALS_FILE = TRACKED_FILE
_SOURCE = (
    "imaging",
    "lesions/tracking",
    "lesions/operating_point",
    "preprocessing/resampling",
    "workflows/lesions_in_time/tasks",
    "workflows/lesions_in_time/tracking_grid",
    "workflows/lesions_in_time/tracking_worker",
)


@dataclass(frozen=True, slots=True)
class TrackedSession:
    """One segmented session.

    days : from baseline. mask_hash : SHA-256 of the file. to_participant : (4, 4), the FLAIR's
    world to the participant's space. native_volume_mm3 : as measured.
    """

    session_id: str
    days: float
    mask: Path
    mask_hash: str
    to_participant: tuple[tuple[float, ...], ...]
    native_volume_mm3: float

    @property
    def place(self) -> Affine:
        """`to_participant` as a matrix."""
        return np.array(self.to_participant, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class TrackingTask:
    """The sessions of one participant in the order of their days, two at least.

    noise : of the model version in the participant's diagnosis, where it was measured.
    folder : of the model version's derivatives.
    """

    participant_id: str
    model_version: str
    sessions: tuple[TrackedSession, ...]
    connectivity: Connectivity
    rules: TrackingRules
    spacing_mm: float
    noise: VolumeNoise | None
    folder: Path

    @property
    def key(self) -> str:
        """Hash of all that the results depend on."""
        return hash_of_content(
            {
                "source": hash_of_source(*_SOURCE),
                "model_version": self.model_version,
                "sessions": [
                    [s.session_id, s.days, s.mask_hash, s.to_participant, s.native_volume_mm3]
                    for s in self.sessions
                ],
                "connectivity": self.connectivity,
                "rules": self.rules.model_dump(),
                "spacing_mm": self.spacing_mm,
                "noise": None
                if self.noise is None
                else [self.noise.noise_mm3, self.noise.noise_share],
            }
        )

    @property
    def record(self) -> Path:
        """The file that is written last: key, hashes of the maps, rows of the tables."""
        return self.folder / self.participant_id / f"{self.participant_id}_lesions.json"

    def map_of(self, session_id: str, extension: str = ".nii.gz") -> Path:
        """The map of change of a session since the one before."""
        return change_map_of(self.folder, self.participant_id, session_id, extension)


def change_map_of(
    folder: Path, participant_id: str, session_id: str, extension: str = ".nii.gz"
) -> Path:
    """``sub-X_ses-Y_space-participant_desc-change_dseg`` below the derivatives folder."""
    name = BidsName.of_scan(participant_id, session_id, suffix="FLAIR")
    entities = {"space": "participant", "desc": "change"}
    return name.having(entities, suffix="dseg", extension=extension).path_under(folder)


def finished_rows(task: TrackingTask) -> dict[str, Any] | None:
    """``lesions`` and ``intervals`` of a participant that is done and unchanged, else None."""
    try:
        record: dict[str, Any] = json.loads(task.record.read_text(encoding="utf-8"))
        if record["Key"] != task.key:
            return None
        for name, written in record["OutputHashes"].items():
            if hash_of_file(task.folder / task.participant_id / name) != written:
                return None
        return {"lesions": record["Lesions"], "intervals": record["Intervals"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
