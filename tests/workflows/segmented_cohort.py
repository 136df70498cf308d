"""A cohort of three sessions and what two model versions found in it, without any network.

A head of 3 mm voxels with three balls: one that stays, one that is new in the second session, one
that is gone by then. Version 2 never sees the new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tests.conftest import composed

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.writing import write_intensities, write_mask, write_probability
from lesion_dynamics.records.derivatives import ScanOutputs
from lesion_dynamics.settings.scan_pages import ScanPagesSettings
from lesion_dynamics.settings.strict import validated

SHAPE = (40, 48, 40)
AFFINE = np.array([[3.0, 0, 0, -60], [0, 3.0, 0, -72], [0, 0, 3.0, -60], [0, 0, 0, 1]])
VOXEL_MM3 = 27.0
STAYS, APPEARS, GOES = (12, 24, 20), (28, 30, 20), (20, 10, 20)
PARTICIPANTS = {"sub-ms01": "MS", "sub-nmo01": "NMOSD"}
SESSIONS = {"ses-01": 0, "ses-02": 400, "ses-03": 800}
HOSTILE = "<script>document.title='hacked'</script>"


def ball(centre: tuple[int, int, int]) -> NDArray[np.bool_]:
    """33 voxels."""
    apart = np.indices(SHAPE) - np.array(centre)[:, None, None, None]
    found: NDArray[np.bool_] = (apart**2).sum(axis=0) <= 4
    return found


def lesions(session_id: str, version: int) -> NDArray[np.uint8]:
    centres = [STAYS, GOES] if session_id == "ses-01" else [STAYS, APPEARS]
    if version == 2:
        centres = [centre for centre in centres if centre != APPEARS]
    found = np.zeros(SHAPE, dtype=np.uint8)
    for centre in centres:
        found[ball(centre)] = 1
    return found


def head() -> NDArray[np.float32]:
    place = (np.indices(SHAPE) - np.array([20, 24, 20])[:, None, None, None]).astype(np.float32)
    radius = np.sqrt(((place / np.array([16, 20, 16])[:, None, None, None]) ** 2).sum(axis=0))
    tissue = 100 + 12 * np.sin(place[0] / 2) * np.cos(place[1] / 3)
    return np.where(radius <= 1, tissue, 0).astype(np.float32)


@dataclass(frozen=True)
class SegmentedCohort:
    """Folders of a cohort and of two model versions over it."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    def derivatives(self, version: int) -> Path:
        return self.root / f"lesion-segmenter-v{version}"

    def outputs(self, who: str, session: str, version: int = 1) -> ScanOutputs:
        return ScanOutputs.of(who, session, self.derivatives(version))

    def outputs_table(self, version: int) -> Path:
        return self.derivatives(version) / "lesion_measurements.tsv"

    def flair(self, who: str, session: str) -> Path:
        return self.data / who / session / "anat" / f"{who}_{session}_FLAIR.nii.gz"

    def write(self) -> SegmentedCohort:
        self._write_tables()
        for who in PARTICIPANTS:
            for session in SESSIONS:
                scan = head() + 60 * lesions(session, 1)
                write_intensities(self.flair(who, session), Image(scan, AFFINE))
                for version in (1, 2):
                    found = Image(lesions(session, version), AFFINE)
                    outputs = self.outputs(who, session, version)
                    write_mask(outputs.mask, found)
                    write_probability(
                        outputs.probability,
                        found.with_voxels(0.9 * found.voxels.astype(np.float32)),
                    )
        return self

    def settings(self, *overrides: str) -> ScanPagesSettings:
        own = [
            "cohort=bids", "cohort.name=tried", f"cohort.root={self.data}",
            f"derivatives={self.derivatives(1)}", "processes=1",
        ]  # fmt: skip
        return validated(ScanPagesSettings, composed("scan_pages", *own, *overrides))

    def _write_tables(self) -> None:
        self.data.mkdir(parents=True)
        (self.data / "dataset_description.json").write_text(
            '{"Name": "x", "BIDSVersion": "1.10.0"}'
        )
        people = [
            {"participant_id": who, "diagnosis": what, "age": 40, "sex": "F", "scanner": HOSTILE}
            for who, what in PARTICIPANTS.items()
        ]
        _table(self.data / "participants.tsv", people)
        attacks = [{"participant_id": "sub-ms01", "attack_id": "1", "days_from_baseline": 550}]
        _table(self.data / "phenotype" / "attacks.tsv", attacks)
        for who in PARTICIPANTS:
            rows = [{"session_id": s, "days_from_baseline": d} for s, d in SESSIONS.items()]
            _table(self.data / who / f"{who}_sessions.tsv", rows)
        keys = [(who, session) for who in PARTICIPANTS for session in SESSIONS]
        for version in (1, 2):
            _table(
                self.outputs_table(version),
                [
                    {
                        "participant_id": who, "session_id": session,
                        "model_version": f"lesion-segmenter/{version}",
                        "lesion_volume_mm3": lesions(session, version).sum() * VOXEL_MM3,
                        "lesion_count": 2, "status": "measured", "reason": "",
                    }
                    for who, session in keys
                ],
            )  # fmt: skip
        flagged = ("sub-nmo01", "ses-02")
        _table(
            self.derivatives(1) / "quality.tsv",
            [
                {
                    "participant_id": who, "session_id": session, "scanner": "a",
                    "brain_volume_mm3": "1.5e+06", "compared_with": "cohort",
                    "flag_count": int((who, session) == flagged),
                    "flags": HOSTILE if (who, session) == flagged else "",
                }
                for who, session in keys
            ],
        )  # fmt: skip


def _table(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, sep="\t", index=False)
