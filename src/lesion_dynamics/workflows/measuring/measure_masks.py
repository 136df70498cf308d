"""A folder of lesion masks becomes a table of lesion volumes; of our own output, the same table.

What the voxels say is measured again: volumes and counts. What they cannot say (volume of the
brain, operating point, which scans failed and why) is taken from sidecars and the folder's table.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics.atomic_files import hash_of_content, hash_of_file
from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.lesions.measurement import measure
from lesion_dynamics.lesions.operating_point import without_small_lesions
from lesion_dynamics.longitudinal.measurements import (
    FAILED,
    FILE_NAME,
    MEASURED,
    VOLUME_DECIMALS,
    write_measurements,
)
from lesion_dynamics.settings.measuring import MeasureMasksSettings
from lesion_dynamics.settings.operating_point import Connectivity
from lesion_dynamics.settings.outside_masks import MaskRule
from lesion_dynamics.workflows.lineage.derived import write_derived_lineage
from lesion_dynamics.workflows.measuring.stored_scans import StoredScan, failed_rows, stored_scans
from lesion_dynamics.workflows.outside_masks import lesion_voxels
from lesion_dynamics.workflows.processes import cores

_LOG = logging.getLogger(__name__)
_CORRECTED = (
    "its volumes were corrected for the scanner's geometry, which the mask alone does not hold"
)


@dataclass(frozen=True)
class MeasuredMasks:
    """table : its path. measured : scans. failures : who and why, of scans that have a mask.

    same : whether it is, byte for byte, the table that lies in the folder; None: none does.
    """

    table: Path
    measured: int
    failures: tuple[str, ...]
    same: bool | None

    def require_no_failures(self) -> None:
        """Raise `ScanError` if a mask could not be measured; the table names it as failed."""
        if self.failures:
            raise ScanError(
                f"{len(self.failures)} mask(s) could not be measured and stand in the table with "
                f"their reason; {self.measured} are measured",
                where=self.failures[0],
                remedy="Mend the masks, or set rule.label or rule.threshold.",
            )


def measure_masks(settings: MeasureMasksSettings) -> MeasuredMasks:
    """Measure every mask of the folder and write the table.

    Raises
    ------
    UserError : the folder holds no mask, or the table cannot be written.
    """
    scans = stored_scans(settings.masks)
    with ThreadPoolExecutor(settings.processes or cores()) as pool:
        rows = list(pool.map(partial(_row, settings=settings), scans))
    failures = tuple(
        f"{row['participant_id']} {row['session_id']}: {row['reason']}"
        for row in rows
        if row["status"] == FAILED
    )
    known = {scan.key for scan in scans}
    if settings.rule is None:
        gone = failed_rows(settings.masks)
        rows += [row for row in gone if (row["participant_id"], row["session_id"]) not in known]
    frame = pd.DataFrame(rows).sort_values(["participant_id", "session_id"], ignore_index=True)
    own = settings.masks / FILE_NAME
    before = own.read_bytes() if own.is_file() else None
    write_measurements(settings.output, frame)
    write_derived_lineage(
        settings.output.parent,
        command="measure-masks",
        source=("imaging", "lesions", "workflows/measuring"),
        outputs=[settings.output],
        settings=settings,
        made_from=[settings.masks],
        inputs={"masks": hash_of_content([[*s.key, hash_of_file(s.mask)] for s in scans])},
        file=f"lineage_{settings.output.stem}.json",
    )
    same = None if before is None else settings.output.read_bytes() == before
    result = MeasuredMasks(settings.output, len(scans) - len(failures), failures, same)
    _report(result)
    return result


def _row(scan: StoredScan, *, settings: MeasureMasksSettings) -> dict[str, Any]:
    row: dict[str, Any] = {"participant_id": scan.participant_id, "session_id": scan.session_id}
    own = scan.is_own and settings.rule is None
    row |= _from_sidecar(scan) if own else _from_rule(settings.rule or MaskRule(), settings.label)
    connectivity: Connectivity = row["connectivity"]
    try:
        if own and scan.geometry_was_corrected:
            raise ScanError(_CORRECTED, where=scan.mask, remedy="Take its row from infer.py.")
        mask = _mask(scan, None if own else settings.rule or MaskRule())
    except ScanError as error:
        nothing = {"lesion_volume_mm3": None, "brain_volume_mm3": None}
        return {**row, **nothing, "status": FAILED, "reason": error.what}
    found = measure(mask, connectivity=connectivity)
    return {
        **row,
        "lesion_volume_mm3": round(found.lesion_volume_mm3, VOLUME_DECIMALS),
        "lesion_count": found.lesion_count,
        "largest_lesion_volume_mm3": round(found.largest_lesion_volume_mm3, VOLUME_DECIMALS),
        "voxel_volume_mm3": round(mask.voxel_volume_mm3, 6),
        "status": MEASURED,
        "reason": "",
    }


def _mask(scan: StoredScan, rule: MaskRule | None) -> Image:
    if rule is None:
        return lesion_voxels(scan.mask, MaskRule())
    image = lesion_voxels(scan.mask, rule)
    return image.with_voxels(
        without_small_lesions(
            image.voxels,
            voxel_volume_mm3=image.voxel_volume_mm3,
            minimum_lesion_volume_mm3=rule.minimum_lesion_volume_mm3,
            connectivity=rule.connectivity,
        )
    )


def _from_sidecar(scan: StoredScan) -> dict[str, Any]:
    said = scan.sidecar
    point = said.get("OperatingPoint") or said.get("Rule") or {}
    return {
        "model_version": said["ModelVersion"],
        "weights_sha256": said.get("WeightsSHA256"),
        "probability_threshold": point.get("probability_threshold", point.get("threshold")),
        "minimum_lesion_volume_mm3": point.get("minimum_lesion_volume_mm3"),
        "connectivity": point.get("connectivity", MaskRule().connectivity),
        "brain_volume_mm3": said["Measurements"].get("brain_volume_mm3"),
    }


def _from_rule(rule: MaskRule, label: str) -> dict[str, Any]:
    return {
        "model_version": label,
        "probability_threshold": rule.threshold,
        "minimum_lesion_volume_mm3": rule.minimum_lesion_volume_mm3,
        "connectivity": rule.connectivity,
    }


def _report(result: MeasuredMasks) -> None:
    _LOG.info("%d masks measured; volumes in %s", result.measured, result.table)
    for failure in result.failures:
        _LOG.warning("failed: %s", failure)
    if result.same is not None:
        said = "the same, byte for byte, as" if result.same else "not the same as"
        _LOG.info("the table is %s the folder's own %s", said, FILE_NAME)
