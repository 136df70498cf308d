"""What is true of the study cohort; written apart, where inference never looks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cc3d
import numpy as np

from lesion_dynamics.phantom import bids_writer
from lesion_dynamics.phantom.scan_synthesis import SyntheticScan
from lesion_dynamics.phantom.smooth_fields import Floats

FOLDER = Path("truth") / "study"
MEASUREMENTS = FOLDER / "lesion_measurements.tsv"
LESIONS = FOLDER / "lesions.tsv"

_CONNECTIVITY = 26
_FRACTION = 0.5
_MEASUREMENT_COLUMNS = (
    "participant_id", "session_id", "model_version", "weights_sha256", "probability_threshold",
    "minimum_lesion_volume_mm3", "connectivity", "lesion_volume_mm3", "lesion_count",
    "largest_lesion_volume_mm3", "brain_volume_mm3", "voxel_volume_mm3", "status", "reason",
)  # fmt: skip
_LESION_COLUMNS = (
    "participant_id", "session_id", "lesion_id", "kind", "x_mni_mm", "y_mni_mm", "z_mni_mm",
    "lesion_volume_mm3",
)  # fmt: skip


def mask_path(root: Path, participant_id: str, session_id: str) -> Path:
    """Path of the true mask of one scan."""
    return bids_writer.mask_path(root / FOLDER, participant_id, session_id)


def facts(scan: SyntheticScan, *, kinds: Sequence[str], centres_mni_mm: Floats) -> dict[str, Any]:
    """What the sidecar of a true mask keeps for the tables: measurement, single lesions."""
    labels, count = cc3d.connected_components(
        scan.mask.voxels, connectivity=_CONNECTIVITY, return_N=True
    )
    voxel = scan.mask.voxel_volume_mm3
    sizes = np.bincount(labels.ravel(), minlength=1)[1:]
    return {
        "Measurement": {
            "lesion_volume_mm3": round(float(sizes.sum()) * voxel, 3),
            "lesion_count": int(count),
            "largest_lesion_volume_mm3": round(float(sizes.max(initial=0)) * voxel, 3),
            "brain_volume_mm3": scan.brain_volume_mm3,
            "voxel_volume_mm3": round(voxel, 6),
        },
        "Lesions": [
            [kind, *(round(float(place), 2) for place in centre), round(float(volume), 3)]
            for kind, centre, volume in zip(
                kinds, centres_mni_mm, scan.lesion_volumes_mm3, strict=True
            )
        ],
    }


def write_tables(scans: Iterable[tuple[str, str]], root: Path) -> None:
    """Collect the sidecars of all true masks into the two tables; the measurements last.

    scans : participant and session ids, in the order of the rows.
    """
    measurements: list[dict[str, object]] = []
    lesions: list[dict[str, object]] = []
    for participant_id, session_id in scans:
        path = bids_writer.sidecar_path(mask_path(root, participant_id, session_id))
        sidecar = json.loads(path.read_text(encoding="utf-8"))
        key: dict[str, object] = {"participant_id": participant_id, "session_id": session_id}
        measurements.append(
            {
                **key,
                "model_version": "truth",
                "probability_threshold": _FRACTION,
                "minimum_lesion_volume_mm3": 0.0,
                "connectivity": _CONNECTIVITY,
                "status": "measured",
                **sidecar["Measurement"],
            }
        )
        lesions += [
            {**key, "lesion_id": number, **dict(zip(_LESION_COLUMNS[3:], row, strict=True))}
            for number, row in enumerate(sidecar["Lesions"], start=1)
        ]
    bids_writer.write_description(
        root / FOLDER, name="Phantom, truth of the study cohort", raw="../../study"
    )
    bids_writer.write_table(root / LESIONS, _LESION_COLUMNS, lesions)
    bids_writer.write_table(root / MEASUREMENTS, _MEASUREMENT_COLUMNS, measurements)
