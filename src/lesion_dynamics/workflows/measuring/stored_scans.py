"""Which scans a derivatives folder holds, and what their sidecars say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics.cohort.bids_name import BidsName
from lesion_dynamics.errors import CohortError, ScanError
from lesion_dynamics.longitudinal.measurements import FAILED, FILE_NAME, table_at

_LESION = {"label": "L"}
_SCAN = {"sub", "ses"}


@dataclass(frozen=True, slots=True)
class StoredScan:
    """One scan of a derivatives folder.

    sidecar : what this program wrote beside the mask; empty where it did not.
    """

    participant_id: str
    session_id: str
    mask: Path
    sidecar: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """``(participant_id, session_id)``."""
        return (self.participant_id, self.session_id)

    @property
    def is_own(self) -> bool:
        """Whether ``infer.py`` or a registration of masks wrote it."""
        return "Measurements" in self.sidecar and "ModelVersion" in self.sidecar

    @property
    def geometry_was_corrected(self) -> bool:
        """Whether its volumes are not those of its voxels: drift or gradients were corrected."""
        said = self.sidecar.get("Measurements", {})
        return bool(said.get("gradients_corrected") or said.get("drift_corrected"))


def stored_scans(folder: Path) -> list[StoredScan]:
    """Every native lesion mask below ``folder``, by participant and session.

    Raises
    ------
    ScanError : there is none, or a scan has two.
    """
    found: dict[tuple[str, str], StoredScan] = {}
    for path in sorted(folder.rglob("*_mask.nii.gz")):
        try:
            name = BidsName.parse(path.name)
        except CohortError:
            continue
        rest = {key: value for key, value in name.entities.items() if key not in _SCAN}
        if rest != _LESION or "ses" not in name.entities:
            continue
        scan = StoredScan(
            f"sub-{name.entities['sub']}", f"ses-{name.entities['ses']}", path, _sidecar(path)
        )
        if scan.key in found:
            raise ScanError(
                f"{scan.participant_id} {scan.session_id} has two lesion masks",
                where=path,
                remedy=f"Keep one of it and {found[scan.key].mask}.",
            )
        found[scan.key] = scan
    if not found:
        raise ScanError(
            "no lesion mask lies here",
            where=folder,
            remedy="Name a folder with files like sub-01/ses-01/anat/"
            "sub-01_ses-01_label-L_mask.nii.gz.",
        )
    return [found[key] for key in sorted(found)]


def failed_rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of the scans that the folder's own table names as failed; none where it has none."""
    if not (folder / FILE_NAME).is_file():
        return []
    table = table_at(folder / FILE_NAME)
    if "status" not in table:
        return []
    rows = table[table["status"] == FAILED].replace({pd.NA: None}).to_dict(orient="records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def _sidecar(mask: Path) -> Mapping[str, Any]:
    path = mask.with_name(mask.name.removesuffix(".nii.gz") + ".json")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
