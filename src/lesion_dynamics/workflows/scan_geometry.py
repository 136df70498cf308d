"""``scan_geometry.tsv``: how the scanner's geometry differs between a participant's sessions.

One row a scan, beside the table of lesion volumes. A scan that was not aligned with another
session has no figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesion_dynamics.atomic_files import write_text
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan

FILE_NAME = "scan_geometry.tsv"
_MEASURED = (
    "scale_right_percent",
    "scale_anterior_percent",
    "scale_superior_percent",
    "shear_right_anterior_percent",
    "shear_right_superior_percent",
    "shear_anterior_superior_percent",
)
_COLUMNS = (*_MEASURED, "drift_corrected", "gradients_corrected", "mean_volume_scale")
_DECIMALS = 4


def geometry_row(prepared: PreparedScan) -> dict[str, Any]:
    """Columns of one scan: its drift, what was corrected, and by how much volumes changed.

    mean_volume_scale : true volume over volume on the native grid, mean over the brain.
    """
    drift = prepared.drift
    figures: tuple[float | None, ...] = (None,) * len(_MEASURED)
    if drift is not None:
        figures = tuple(round(v, _DECIMALS) for v in (*drift.scale_percent, *drift.shear_percent))
    scale = np.broadcast_to(prepared.volume_scale(), prepared.brain_mask.shape)
    return {
        **dict(zip(_MEASURED, figures, strict=True)),
        "drift_corrected": drift is not None and drift.corrected,
        "gradients_corrected": prepared.flair.gradient_warp is not None,
        "mean_volume_scale": round(float(scale[prepared.brain_mask.voxels > 0].mean()), 6),
    }


def write_scan_geometry(folder: Path, rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
    """Write the table of the measured scans atomically, sorted by participant and session."""
    table = pd.DataFrame(
        [
            {"participant_id": key[0], "session_id": key[1], **{c: row[c] for c in _COLUMNS}}
            for key, row in sorted(rows.items())
        ],
        columns=["participant_id", "session_id", *_COLUMNS],
    )
    text = table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")
    write_text(folder / FILE_NAME, text)
