"""A cohort of tables and the derivatives of a model version, with masks of boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesion_dynamics.atomic_files import write_json
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.writing import write_mask
from lesion_dynamics.longitudinal.measurements import write_measurements
from lesion_dynamics.records.derivatives import ScanOutputs

VERSION = "lesion-segmenter/1"
Key = tuple[str, str]


def write_cohort(root: Path, diagnoses: Mapping[str, str], days: Sequence[float | None]) -> Path:
    """Participants with the same days each; no images."""
    rows = [
        {"participant_id": name, "diagnosis": diagnosis, "age": 30 + 3 * n, "sex": "FM"[n % 2]}
        for n, (name, diagnosis) in enumerate(diagnoses.items())
    ]
    root.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(root / "participants.tsv", sep="\t", index=False)
    (root / "phenotype").mkdir(exist_ok=True)
    (root / "phenotype/attacks.tsv").write_text("participant_id\tattack_id\tdays_from_baseline\n")
    for name in diagnoses:
        sessions = [
            {"session_id": f"ses-{n:02d}", "days_from_baseline": "n/a" if d is None else d}
            for n, d in enumerate(days, start=1)
        ]
        (root / name).mkdir(exist_ok=True)
        pd.DataFrame(sessions).to_csv(root / name / f"{name}_sessions.tsv", sep="\t", index=False)
    return root


def write_derivatives(
    folder: Path,
    masks: Mapping[Key, Image],
    *,
    places: Mapping[Key, NDArray[np.float64]] | None = None,
    failed: Sequence[Key] = (),
    alignment: str = "rigid",
) -> Path:
    """What ``infer.py`` leaves of these masks, as far as tracking and maps read it."""
    rows: list[dict[str, Any]] = []
    for key, mask in masks.items():
        outputs = ScanOutputs.of(*key, folder)
        write_mask(outputs.mask, mask)
        place = np.eye(4) if places is None else places[key]
        write_json(
            outputs.sidecar,
            {
                "InputHashes": {"session_alignment": alignment},
                "Preprocessing": {"ParticipantSpaceFromFLAIR": place.tolist()},
            },
        )
        volume = float(mask.voxels.sum()) * mask.voxel_volume_mm3
        rows.append({"lesion_volume_mm3": volume, "status": "measured", **_shared(key)})
    rows += [{"status": "failed", "reason": "cut off", **_shared(key)} for key in failed]
    write_measurements(folder / "lesion_measurements.tsv", pd.DataFrame(rows))
    return folder


def _shared(key: Key) -> dict[str, Any]:
    return {
        "participant_id": key[0],
        "session_id": key[1],
        "model_version": VERSION,
        "weights_sha256": "0" * 64,
        "probability_threshold": 0.5,
        "minimum_lesion_volume_mm3": 0.0,
        "connectivity": 26,
    }
