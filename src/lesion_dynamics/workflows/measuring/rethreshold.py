"""Another threshold or minimum lesion volume from stored probabilities: no inference."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics.atomic_files import hash_of_content, hash_of_file, write_json
from lesion_dynamics.errors import ConfigurationError, ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_probability
from lesion_dynamics.imaging.writing import write_mask
from lesion_dynamics.lesions.alternatives import measure_alternatives
from lesion_dynamics.lesions.measurement import measure
from lesion_dynamics.lesions.operating_point import lesion_mask
from lesion_dynamics.longitudinal.measurements import (
    FAILED,
    FILE_NAME,
    MEASURED,
    write_measurements,
)
from lesion_dynamics.longitudinal.operating_points import ALTERNATIVES_FILE, write_alternatives
from lesion_dynamics.output_lock import sole_writer
from lesion_dynamics.records.derivatives import ScanOutputs, finished_row, write_bidsignore
from lesion_dynamics.settings.measuring import RethresholdSettings
from lesion_dynamics.settings.operating_point import OperatingPoint
from lesion_dynamics.source_hash import hash_of_source
from lesion_dynamics.workflows.lineage.derived import write_derived_lineage
from lesion_dynamics.workflows.measuring.stored_scans import StoredScan, failed_rows, stored_scans
from lesion_dynamics.workflows.processes import cores

_LOG = logging.getLogger(__name__)
_SOURCE = ("imaging", "lesions", "workflows/measuring/rethreshold")
_DESCRIPTION = "dataset_description.json"
_CORRECTED = "volumes corrected for the scanner's geometry need inference: masks do not hold it"


@dataclass(frozen=True)
class Rethresholded:
    """label : of the new version. folder : its derivatives. done, kept, failed : scans."""

    label: str
    folder: Path
    done: int
    kept: int
    failed: int


@dataclass(frozen=True, slots=True)
class _Plan:
    label: str
    folder: Path
    point: OperatingPoint


def rethreshold(settings: RethresholdSettings) -> Rethresholded:
    """Write masks, sidecars and tables at the other operating point, in a folder of their own.

    Raises
    ------
    UserError : not a folder of ``infer.py``, nothing is changed, the new folder is written by
        another process.
    """
    source = settings.derivatives
    scans = [scan for scan in stored_scans(source) if "OperatingPoint" in scan.sidecar]
    if not scans:
        raise ScanError(
            "no operating point stands in the sidecars here",
            where=source,
            remedy="Name the folder of one model version that infer.py wrote.",
        )
    plan = _plan(scans[0], settings)
    with sole_writer(plan.folder), ThreadPoolExecutor(settings.processes or cores()) as pool:
        found = list(pool.map(partial(_rethreshold_scan, plan=plan), scans))
        rows = {scan.key: row for scan, (row, _) in zip(scans, found, strict=True)}
        _write_tables(plan, rows, source, scans[0].sidecar)
        _write_lineage(plan, settings)
    failed = sum(row["status"] == FAILED for row in rows.values())
    kept = sum(was_there for _, was_there in found)
    result = Rethresholded(plan.label, plan.folder, len(rows) - kept - failed, kept, failed)
    _LOG.info(
        "%s: %d scans measured, %d up to date, %d failed; volumes in %s",
        result.label, result.done, result.kept, result.failed, plan.folder / FILE_NAME,
    )  # fmt: skip
    return result


def _write_lineage(plan: _Plan, settings: RethresholdSettings) -> None:
    write_derived_lineage(
        plan.folder,
        command="rethreshold",
        source=_SOURCE,
        outputs=[plan.folder / name for name in (FILE_NAME, ALTERNATIVES_FILE)],
        settings=settings,
        made_from=[settings.derivatives],
    )


def _plan(first: StoredScan, settings: RethresholdSettings) -> _Plan:
    declared = OperatingPoint.model_validate(first.sidecar["OperatingPoint"])
    wanted = {
        "probability_threshold": settings.threshold,
        "minimum_lesion_volume_mm3": settings.minimum_lesion_volume_mm3,
        "connectivity": settings.connectivity,
    }
    changed = {
        name: value
        for name, value in wanted.items()
        if value is not None and value != getattr(declared, name)
    }
    if not changed:
        raise ConfigurationError(
            "this is the operating point of the model version itself",
            where=f"threshold={declared.probability_threshold} "
            f"minimum_lesion_volume_mm3={declared.minimum_lesion_volume_mm3}",
            remedy="Give another threshold, minimum_lesion_volume_mm3 or connectivity.",
        )
    letters = {"probability_threshold": "t", "minimum_lesion_volume_mm3": "m", "connectivity": "c"}
    suffix = "".join(f"+{letters[name]}{value:g}" for name, value in changed.items())
    folder = settings.derivatives.resolve()
    return _Plan(
        label=f"{first.sidecar['ModelVersion']}{suffix}",
        folder=folder.with_name(f"{folder.name}{suffix}"),
        point=OperatingPoint.model_validate({**declared.model_dump(), **changed}),
    )


def _rethreshold_scan(scan: StoredScan, *, plan: _Plan) -> tuple[dict[str, Any], bool]:
    """The row of a scan, and whether it was there already."""
    outputs = ScanOutputs.of(scan.participant_id, scan.session_id, plan.folder)
    probability_file = scan.mask.with_name(scan.mask.name.replace("_mask.", "_probseg."))
    try:
        sha256 = _checked_hash(scan, probability_file)
        key = hash_of_content(
            {
                "source": hash_of_source(*_SOURCE),
                "probability": sha256,
                "label": plan.label,
                "operating_point": plan.point.model_dump(mode="json"),
            }
        )
        row = finished_row(outputs, key)
        if row is not None:
            return row, True
        probability = read_probability(probability_file)
    except ScanError as error:
        reason = f"{error.what} ({Path(error.where).name})"
        return {"lesion_volume_mm3": None, "status": FAILED, "reason": reason}, False
    row, mask = _measured(scan, probability, plan.point)
    outputs.sidecar.unlink(missing_ok=True)
    write_mask(outputs.mask, mask)
    write_json(
        outputs.sidecar,
        {
            **scan.sidecar,
            "ModelVersion": plan.label,
            "Description": f"Lesion mask, from the probabilities of {scan.sidecar['ModelVersion']}",
            "ProbabilitySHA256": sha256,
            "OperatingPoint": plan.point.model_dump(mode="json"),
            "OutputHashes": {outputs.mask.name: hash_of_file(outputs.mask)},
            "Measurements": row,
            "Key": key,
        },
    )
    return row, False


def _checked_hash(scan: StoredScan, probability: Path) -> str:
    if scan.geometry_was_corrected:
        raise ScanError(_CORRECTED, where=scan.mask, remedy="Run infer.py with another version.")
    promised = scan.sidecar.get("OutputHashes", {}).get(probability.name)
    try:
        found = hash_of_file(probability)
    except OSError:
        found = None
    if found is None or found != promised:
        raise ScanError(
            "the stored probability is gone or was changed", where=probability,
            remedy="Run infer.py again: it makes what is missing.",
        )  # fmt: skip
    return found


def _measured(
    scan: StoredScan, probability: Image, point: OperatingPoint
) -> tuple[dict[str, Any], Image]:
    voxels = lesion_mask(
        probability.voxels, voxel_volume_mm3=probability.voxel_volume_mm3, operating_point=point
    )
    mask = probability.with_voxels(voxels)
    found = measure(mask, connectivity=point.connectivity)
    return {
        **scan.sidecar["Measurements"],
        "lesion_volume_mm3": round(found.lesion_volume_mm3, 3),
        "lesion_count": found.lesion_count,
        "largest_lesion_volume_mm3": round(found.largest_lesion_volume_mm3, 3),
        "alternatives": measure_alternatives(probability, point),
    }, mask


def _write_tables(
    plan: _Plan,
    rows: Mapping[tuple[str, str], Mapping[str, Any]],
    source: Path,
    sidecar: Mapping[str, Any],
) -> None:
    shared = {
        "model_version": plan.label,
        "weights_sha256": sidecar.get("WeightsSHA256"),
        **plan.point.model_dump(mode="json"),
    }
    table = [
        {"participant_id": k[0], "session_id": k[1], **shared, **row} for k, row in rows.items()
    ]
    table += [
        {**row, **shared}
        for row in failed_rows(source)
        if (row["participant_id"], row["session_id"]) not in rows
    ]
    frame = pd.DataFrame(table).sort_values(["participant_id", "session_id"], ignore_index=True)
    write_measurements(plan.folder / FILE_NAME, frame.drop(columns="alternatives", errors="ignore"))
    write_alternatives(
        plan.folder / ALTERNATIVES_FILE,
        (
            {"participant_id": k[0], "session_id": k[1], **shared, "status": MEASURED, **own}
            for k, row in rows.items()
            for own in row.get("alternatives", [])
        ),
    )
    description = json.loads((source / _DESCRIPTION).read_text(encoding="utf-8"))
    description["Name"] = f"{description['Name']}, at the operating point of {plan.label}"
    write_bidsignore(plan.folder)
    write_json(plan.folder / _DESCRIPTION, description)
