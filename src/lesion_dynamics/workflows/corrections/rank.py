"""Rank the scans of an inference by how much a correction of them would teach."""

from __future__ import annotations

import logging
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from lesion_dynamics.atomic_files import write_text
from lesion_dynamics.errors import CohortError, MeasurementsError, ScanError
from lesion_dynamics.imaging.reading import read_mask, read_probability
from lesion_dynamics.lesions.review_priority import (
    PRIORITY_COLUMNS,
    disagreement,
    ranked,
    uncertain_share,
    uncertain_volume_mm3,
)
from lesion_dynamics.longitudinal.measurements import FILE_NAME, MEASURED, read_measurements
from lesion_dynamics.records.derivatives import ScanOutputs
from lesion_dynamics.settings.corrections import RANKING_FILE, RankScansSettings
from lesion_dynamics.workflows.inference_quality import QUALITY_TABLE
from lesion_dynamics.workflows.lineage.derived import write_derived_lineage

_LOG = logging.getLogger(__name__)
_COLUMNS = (
    "participant_id", "session_id", "model_version", "priority", *PRIORITY_COLUMNS,
    "uncertain_volume_mm3", "lesion_volume_mm3", "compared_with", "flags",
)  # fmt: skip
_SHOWN = 10


def run(settings: RankScansSettings) -> pd.DataFrame:
    """Write ``review_priority.tsv`` into the first folder; most doubtful scan first.

    Raises
    ------
    MeasurementsError, CohortError : a folder holds no inference.
    """
    first, *others = settings.derivatives
    measured = _measured(first)
    compared = {folder: _measured(folder) for folder in others}
    flags = _flags(first)
    rows = [
        _row(first, row, compared, flags.get((row["participant_id"], row["session_id"])))
        for row in measured.reset_index().to_dict("records")
    ]
    if not rows:
        raise CohortError(
            "no scan of this model version was measured",
            where=first,
            remedy="Look at the reasons in its table of measurements.",
        )
    table = ranked(pd.DataFrame(rows))[list(_COLUMNS)]
    path = first / RANKING_FILE
    text = table.to_csv(sep="\t", index=False, na_rep="n/a", float_format="%.6g")
    write_text(path, text)
    write_derived_lineage(
        first,
        command="rank-scans",
        source=("imaging", "lesions", "workflows/corrections"),
        outputs=[path],
        settings=settings,
        made_from=settings.derivatives,
        file="lineage_rank-scans.json",
    )
    shown = table.head(_SHOWN)[["participant_id", "session_id", "priority", *PRIORITY_COLUMNS]]
    _LOG.info("%s\n%d scans ranked in %s", shown.to_string(index=False), len(table), path)
    return table


def _measured(folder: Path) -> pd.DataFrame:
    if not (folder / FILE_NAME).is_file():
        raise MeasurementsError(
            f"there is no {FILE_NAME} here",
            where=folder,
            remedy="Name folders of model versions that infer.py wrote.",
        )
    table = read_measurements(folder / FILE_NAME)
    return table[table["status"] == MEASURED].set_index(["participant_id", "session_id"])


def _flags(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    path = folder / QUALITY_TABLE
    if not path.is_file():
        return {}
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    return {
        (row["participant_id"], row["session_id"]): {str(name): row[name] for name in row}
        for row in table.to_dict("records")
    }


def _row(
    first: Path,
    row: dict[Any, Any],
    compared: dict[Path, pd.DataFrame],
    flagged: dict[str, Any] | None,
) -> dict[str, Any]:
    key = (row["participant_id"], row["session_id"])
    outputs = ScanOutputs.of(*key, first)
    mask = read_mask(outputs.mask)
    probability = read_probability(outputs.probability)
    uncertain = uncertain_volume_mm3(
        probability.voxels,
        threshold=float(row["probability_threshold"]),
        voxel_volume_mm3=probability.voxel_volume_mm3,
    )
    differing = []
    for folder in (folder for folder, table in compared.items() if key in table.index):
        other = read_mask(ScanOutputs.of(*key, folder).mask)
        if not other.on_same_grid_as(mask):
            raise ScanError(
                "the masks of the two model versions lie on different grids",
                where=ScanOutputs.of(*key, folder).mask,
                remedy="Compare model versions of the same cohort; run infer.py again.",
            )
        differing.append(disagreement(mask.voxels > 0, other.voxels > 0))
    return {
        **{name: row[name] for name in ("participant_id", "session_id", "model_version")},
        "disagreement": fmean(differing) if differing else None,
        "uncertain_volume_mm3": uncertain,
        "uncertain_share": uncertain_share(uncertain, float(row["lesion_volume_mm3"])),
        "quality_flags": None if flagged is None else int(flagged["flag_count"]),
        "lesion_volume_mm3": float(row["lesion_volume_mm3"]),
        "compared_with": len(differing),
        "flags": "" if flagged is None else flagged["flags"],
    }
