"""Masks from outside become a version: each on its FLAIR's grid, measured like our own."""

from __future__ import annotations

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesion_dynamics.atomic_files import (
    hash_of_content,
    hash_of_file,
    require_writable_folder,
    write_json,
)
from lesion_dynamics.cohort.cohort import Cohort, Exclusion, Scan
from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.geometry import same_grid
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_header, read_labels, read_mask, read_probability
from lesion_dynamics.imaging.reorientation import reordered_to
from lesion_dynamics.lesions.measurement import measure
from lesion_dynamics.lesions.operating_point import without_small_lesions
from lesion_dynamics.longitudinal.measurements import (
    FAILED,
    FILE_NAME,
    MEASURED,
    write_measurements,
)
from lesion_dynamics.records.derivatives import ScanOutputs, finished_row
from lesion_dynamics.records.outside_version import (
    OutsideVersion,
    numbered,
    outside_key,
    write_outside_description,
    write_outside_scan,
)
from lesion_dynamics.settings.outside_masks import MaskRule, RegisterMasksSettings
from lesion_dynamics.workflows.lineage.derived import write_derived_lineage
from lesion_dynamics.workflows.mask_files import mask_files
from lesion_dynamics.workflows.processes import cores

_LOG = logging.getLogger(__name__)
_FOUR_BYTES = 1e-6  # a threshold of 0.3 must take a float32 voxel of 0.3


@dataclass(frozen=True)
class RegisteredMasks:
    """What came of it. done, kept : scans measured now, and found up to date."""

    version: OutsideVersion
    folder: Path
    measurements: Path
    done: int
    kept: int
    failures: tuple[Exclusion, ...]

    def require_no_failures(self) -> None:
        """Raise `ScanError` if a scan failed; everything else is done and written."""
        if self.failures:
            first = self.failures[0]
            raise ScanError(
                f"{len(self.failures)} scan(s) have no usable mask and stand in the table with the"
                f" reason; {self.done + self.kept} are done. The first: {first.reason}",
                where=f"{first.participant_id} {first.session_id}",
                remedy="Mend the masks and start the same command again: the others are kept.",
            )


@dataclass(frozen=True, slots=True)
class _Task:
    scan: Scan
    mask: Path
    hashes: dict[str, str]


def register_masks(settings: RegisterMasksSettings) -> RegisteredMasks:
    """Register and measure; scans without a usable mask stand in the table with the reason.

    Raises
    ------
    UserError : the cohort, the pattern or the name cannot be used, no mask can, or the output
        cannot be written. Nothing is written then.
    """
    cohort = read_cohort(settings.cohort, optional_sequences=())
    tasks, failures = _tasks(cohort, settings)
    cohort_folder = settings.output / settings.cohort.name
    version = numbered(_version(tasks, settings), cohort_folder)
    folder = cohort_folder / version.folder_name
    new = not folder.exists()
    require_writable_folder(folder)
    version.write(folder)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    kept = 0
    with ThreadPoolExecutor(cores()) as pool:
        outcomes = pool.map(lambda task: _register_scan(task, version, folder), tasks)
        for task, (row, was_there) in zip(tasks, outcomes, strict=True):
            if isinstance(row, ScanError):
                failures.append(_failed(task.scan, row))
            else:
                rows[task.scan.key] = row
                kept += was_there
    if not rows:
        if new:
            shutil.rmtree(folder)
        raise _none_usable(failures)
    measured = {" ".join(key) for key in rows}
    hashes = {scan: sha for scan, sha in version.mask_hashes.items() if scan in measured}
    version = OutsideVersion(
        version.name, version.number, version.tool, version.tool_version, version.rule, hashes
    )
    table = folder / FILE_NAME
    result = RegisteredMasks(version, folder, table, len(rows) - kept, kept, tuple(failures))
    _write_tables(result, rows, cohort)
    write_derived_lineage(
        folder,
        command="register-masks",
        source=("imaging", "lesions", "workflows/outside_masks"),
        outputs=[table],
        settings=settings,
        inputs={"masks": hash_of_content(hashes)},
        outside={version.label: {"tool": version.tool, "tool_version": version.tool_version}},
        cohort_root=settings.cohort.root,
    )
    _report(result)
    return result


def _tasks(cohort: Cohort, settings: RegisterMasksSettings) -> tuple[list[_Task], list[Exclusion]]:
    files = mask_files(settings.masks, cohort.scans)
    failures = [e for e in cohort.exclusions if e.failed]
    found: list[tuple[Scan, Path]] = []
    for scan in cohort.scans:
        path = files.get(scan.key)
        if path is not None and path.is_file():
            found.append((scan, path))
        else:
            said = "not in the table of masks" if path is None else f"no mask at {path}"
            failures.append(Exclusion(*scan.key, said, failed=True))
    with ThreadPoolExecutor(cores()) as pool:
        tasks = list(pool.map(_task, *zip(*found, strict=True))) if found else []
    if not tasks:
        raise _none_usable(failures)
    return tasks, failures


def _task(scan: Scan, mask: Path) -> _Task:
    hashes = {"mask": hash_of_file(mask), "FLAIR": hash_of_file(scan.images["FLAIR"])}
    return _Task(scan, mask, hashes)


def _version(tasks: list[_Task], settings: RegisterMasksSettings) -> OutsideVersion:
    hashes = {" ".join(task.scan.key): task.hashes["mask"] for task in tasks}
    return OutsideVersion(
        settings.name, 0, settings.tool, settings.tool_version, settings.rule, hashes
    )


def _register_scan(
    task: _Task, version: OutsideVersion, folder: Path
) -> tuple[dict[str, Any] | ScanError, bool]:
    """The measured columns of a scan's row, or why there are none; whether they were there."""
    outputs = ScanOutputs.of(task.scan.participant_id, task.scan.session_id, folder)
    key = outside_key(task.hashes, version)
    row = finished_row(outputs, key)
    if row is not None:
        return row, True
    try:
        mask = outside_mask(task.mask, task.scan.images["FLAIR"], version.rule)
    except ScanError as error:
        return error, False
    measured = measure(mask, connectivity=version.rule.connectivity)
    row = {
        "lesion_volume_mm3": measured.lesion_volume_mm3,
        "lesion_count": measured.lesion_count,
        "largest_lesion_volume_mm3": measured.largest_lesion_volume_mm3,
        "voxel_volume_mm3": round(mask.voxel_volume_mm3, 6),
        "status": MEASURED,
        "reason": "",
    }
    write_outside_scan(
        outputs, mask=mask, key=key, version=version, input_hashes=task.hashes, measurements=row
    )
    return row, False


def outside_mask(path: Path, flair: Path, rule: MaskRule) -> Image:
    """The lesion mask that ``rule`` makes of an outside file, on the FLAIR's grid.

    Raises
    ------
    ScanError : not readable by this rule, or on another grid. Axes in another order are put
        right, as that loses nothing; a mask is never resampled.
    """
    image = lesion_voxels(path, rule)
    header = read_header(flair)
    image = reordered_to(image, header.affine)
    if not same_grid(image.shape, image.affine, header.shape, header.affine):
        described = " x ".join(str(size) for size in image.shape)
        wanted = " x ".join(str(size) for size in header.shape)
        detail = f"{described} voxels against {wanted}" if described != wanted else "shifted"
        raise ScanError(
            f"the mask is not on the grid of its FLAIR ({detail})",
            where=path,
            remedy="Have the tool write it in FLAIR space, or resample it there yourself (nearest"
            " neighbour): lesion volumes change with it, so it is not done here.",
        )
    kept = without_small_lesions(
        image.voxels,
        voxel_volume_mm3=image.voxel_volume_mm3,
        minimum_lesion_volume_mm3=rule.minimum_lesion_volume_mm3,
        connectivity=rule.connectivity,
    )
    return Image(voxels=kept, affine=header.affine)


def lesion_voxels(path: Path, rule: MaskRule) -> Image:
    """What ``rule`` takes for lesion in an outside file, on the file's own grid.

    Raises
    ------
    ScanError : not readable by this rule.
    """
    if rule.threshold is not None:
        image = read_probability(path)
        return image.with_voxels(image.voxels >= rule.threshold - _FOUR_BYTES)
    if rule.label is None:
        return read_mask(path)
    image = read_labels(path)
    lesion = image.voxels > 0 if rule.label == "any" else np.isin(image.voxels, rule.label)
    return image.with_voxels(lesion)


def _failed(scan: Scan, error: ScanError) -> Exclusion:
    return Exclusion(*scan.key, f"{error.what} ({Path(error.where).name})", failed=True)


def _none_usable(failures: list[Exclusion]) -> ScanError:
    first = failures[0]
    return ScanError(
        f"none of {len(failures)} scans has a usable mask; the first: {first.reason}",
        where=f"{first.participant_id} {first.session_id}",
        remedy="Correct masks, label or threshold; nothing was registered.",
    )


def _write_tables(
    result: RegisteredMasks, rows: dict[tuple[str, str], dict[str, Any]], cohort: Cohort
) -> None:
    version = result.version
    shared = {
        "model_version": version.label,
        "probability_threshold": version.rule.threshold,
        "minimum_lesion_volume_mm3": version.rule.minimum_lesion_volume_mm3,
        "connectivity": version.rule.connectivity,
    }
    table: list[dict[str, Any]] = [
        {"participant_id": key[0], "session_id": key[1], **shared, **row}
        for key, row in rows.items()
    ]
    failed = [
        {"participant_id": e.participant_id, "session_id": e.session_id, "reason": e.reason}
        for e in result.failures
    ]
    table += [{**one, **shared, "status": FAILED} for one in failed]
    version.write(result.folder)
    write_outside_description(result.folder, cohort=cohort.name, version=version)
    write_json(result.folder / "exclusions.json", failed)
    frame = pd.DataFrame(table).sort_values(["participant_id", "session_id"], ignore_index=True)
    write_measurements(result.measurements, frame)


def _report(result: RegisteredMasks) -> None:
    _LOG.info(
        "%s: %d scans measured, %d up to date, %d failed; volumes in %s",
        result.version.description,
        result.done,
        result.kept,
        len(result.failures),
        result.measurements,
    )
    for failure in result.failures:
        _LOG.warning(
            "failed: %s %s: %s", failure.participant_id, failure.session_id, failure.reason
        )
