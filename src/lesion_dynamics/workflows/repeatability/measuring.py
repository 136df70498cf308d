"""Repeatability of a model version, from perturbed copies of a cohort's scans or from rescans."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics.atomic_files import hash_of_content, hash_of_file, require_writable_folder
from lesion_dynamics.cohort.cohort import Cohort, Scan
from lesion_dynamics.cohort.reading import read_cohort, read_tables
from lesion_dynamics.errors import ScanError
from lesion_dynamics.longitudinal.measurements import FILE_NAME, MEASURED, read_measurements
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.preprocessing.gradient_distortion import require_usable_coefficients
from lesion_dynamics.preprocessing.step_cache import open_cache, trim
from lesion_dynamics.preprocessing.steps import Steps
from lesion_dynamics.records.outside_version import refuse_outside_folder
from lesion_dynamics.records.repeatability_record import keep_with_version
from lesion_dynamics.settings.repeatability import RepeatabilitySettings
from lesion_dynamics.source_hash import hash_of_source
from lesion_dynamics.workflows.lineage.derived import write_derived_lineage
from lesion_dynamics.workflows.repeatability.outputs import (
    Repeated,
    write_repeatability,
)
from lesion_dynamics.workflows.repeatability.rescans import rescan_differences
from lesion_dynamics.workflows.spreading import spread

_LOG = logging.getLogger(__name__)
_KEPT = "repeatability"
_SOURCE = (
    "imaging",
    "lesions",
    "preprocessing",
    "quality/noise",
    "segmenter",
    "settings/networks",
    "settings/preprocessing",
    "settings/segmenter",
    "workflows/repeatability/worker",
)


@dataclass(frozen=True, slots=True)
class RepeatabilityResult:
    """folder : holds the outputs. done, kept : scans measured now, and found measured.

    failures : scans or perturbations that failed, each in a line. summary : the table.
    """

    folder: Path
    done: int
    kept: int
    failures: tuple[str, ...]
    summary: pd.DataFrame


def run(settings: RepeatabilitySettings) -> RepeatabilityResult:
    """Measure, estimate, write beside the version's measurements and keep with the version.

    Raises
    ------
    UserError : the cohort or the version cannot be used, nothing could be measured, or the output
        cannot be written.
    """
    from lesion_dynamics.records.registry import resolve

    version = resolve(settings.model_version, settings.tracking)
    folder = settings.output / settings.cohort.name / version.folder_name
    refuse_outside_folder(folder)
    require_writable_folder(folder)
    done = kept = 0
    if settings.rescans.declared:
        tables = read_tables(settings.cohort)
        repeated = rescan_differences(settings, tables, version, folder=folder)
    else:
        repeated, done, kept = _perturb(settings, version, folder)
    table, files = write_repeatability(folder, repeated, version=version, settings=settings)
    keep_with_version(version, files, settings.tracking)
    write_derived_lineage(
        folder,
        command="repeatability",
        source=_SOURCE,
        outputs=files,
        settings=settings,
        versions=[version],
        cohort_root=settings.cohort.root,
        file="lineage_repeatability.json",
    )
    for failure in repeated.failures:
        _LOG.warning("failed: %s", failure)
    return RepeatabilityResult(folder, done, kept, repeated.failures, table)


def _perturb(
    settings: RepeatabilitySettings, version: ModelVersion, folder: Path
) -> tuple[Repeated, int, int]:
    segmenter = version.manifest.segmenter
    cohort = read_cohort(
        settings.cohort,
        required_sequences=segmenter.required_sequences,
        optional_sequences=segmenter.optional_sequences,
        masks_needed=False,
    )
    require_usable_coefficients(cohort)
    scans = _chosen(cohort, folder / FILE_NAME, settings.scans)
    found, failures = _measured(scans, version, folder, settings)
    rows = []
    for scan in scans:
        content = found.get(scan.key, {"rows": []})
        for row in content["rows"]:
            name = row["perturbation"] + (f" {row['setting']}" if row["setting"] else "")
            if row["lesion_volume_mm3"] is None:
                failures.append(f"{' '.join(scan.key)}, {name}: {row['reason']}")
                continue
            rows.append(
                {
                    "participant_id": scan.participant_id,
                    "session_id": scan.session_id,
                    "diagnosis": cohort.diagnosis_of(scan.participant_id),
                    "perturbation": name,
                    "draw": str(row["draw"]),
                    "original_lesion_volume_mm3": content["original_lesion_volume_mm3"],
                    "lesion_volume_mm3": row["lesion_volume_mm3"],
                }
            )
    if not rows:
        raise ScanError(
            f"no scan could be measured again{f'; the first: {failures[0]}' if failures else ''}",
            where=settings.cohort.name,
            remedy="Mend what is said, or choose other perturbations.",
        )
    kept = sum(content["kept"] for content in found.values())
    own = settings.perturbations
    source = (
        f"{len(found)} scans of cohort {settings.cohort.name}, each perturbed: "
        f"{', '.join(own.kinds)}; noise pooled over {', '.join(own.pooled)}"
    )
    repeated = Repeated(pd.DataFrame(rows), tuple(failures), source, tuple(own.pooled))
    return repeated, len(found) - kept, kept


def _measured(
    scans: Sequence[Scan], version: ModelVersion, folder: Path, settings: RepeatabilitySettings
) -> tuple[dict[tuple[str, str], dict[str, Any]], list[str]]:
    """What is kept of each scan (with "kept": whether it was there before), and the failures."""
    # Only the worker processes load torch.
    from lesion_dynamics.workflows.repeatability.worker import (
        PerturbedScan,
        begin_measuring,
        measure_again,
    )

    found: dict[tuple[str, str], dict[str, Any]] = {}
    due = []
    for scan in scans:
        kept = folder / _KEPT / f"{'_'.join(scan.key)}.json"
        task = PerturbedScan(scan, kept, _key(scan, version, settings))
        content = _finished(task.kept, task.key)
        if content is None:
            due.append(task)
        else:
            found[scan.key] = {**content, "kept": True}
    failures: list[str] = []
    if not due:
        return found, failures
    for done in spread(
        measure_again,
        due,
        executor=settings.executor,
        description="measuring scans again",
        initializer=begin_measuring,
        arguments=(
            version,
            settings.cohort,
            settings.perturbations,
            settings.seed,
            Steps(open_cache(settings.cache)),
            settings.executor.threads_per_process,
        ),
    ):
        if done.result is None:
            failures.append(f"{' '.join(done.item.scan.key)}: {done.failure}")
        else:
            found[done.item.scan.key] = {**done.result, "kept": False}
    trim(settings.cache)
    return found, failures


def _key(scan: Scan, version: ModelVersion, settings: RepeatabilitySettings) -> str:
    """Hash of all that the volumes of a scan and its copies depend on."""
    return hash_of_content(
        {
            "source": hash_of_source(*_SOURCE),
            "files": {name: hash_of_file(path) for name, path in scan.input_files.items()},
            "prepared": (scan.prepared or settings.cohort.prepared).model_dump(),
            "perturbations": settings.perturbations.model_dump(mode="json", exclude={"pooled"}),
            "seed": settings.seed,
            "weights_sha256": version.manifest.weights_sha256,
            "segmenter": version.manifest.segmenter.model_dump(mode="json"),
            "operating_point": version.manifest.operating_point.model_dump(mode="json"),
        }
    )


def _finished(path: Path, key: str) -> dict[str, Any] | None:
    """What was measured of a scan before, if nothing changed and nothing of it failed."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        whole = all(row["lesion_volume_mm3"] is not None for row in content["rows"])
        return content if content["key"] == key and whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _chosen(cohort: Cohort, measurements: Path, most: int) -> list[Scan]:
    """At most ``most`` scans, half of each diagnosis as far as there are, spread over the load.

    One scan a participant as long as there are participants left. Without a table of measurements
    nothing is known of the load: the scans are then spread over the cohort's order.
    """
    if most == 0 or len(cohort.scans) <= most:
        return list(cohort.scans)
    load: dict[tuple[str, str], float] = {}
    if measurements.is_file():
        table = read_measurements(measurements)
        table = table[table["status"] == MEASURED]
        keys = zip(table["participant_id"], table["session_id"], strict=True)
        load = dict(zip(keys, table["lesion_volume_mm3"].astype(float), strict=True))
    rank: dict[str, int] = {}
    ordered = []
    for scan in cohort.scans:  # a participant's first scan goes before anybody's second one
        visit = rank[scan.participant_id] = rank.get(scan.participant_id, -1) + 1
        ordered.append((visit, load.get(scan.key, 0.0), scan))
    by_diagnosis: dict[str, list[Scan]] = {}
    for visit in range(max(rank.values()) + 1):
        layer = sorted((o for o in ordered if o[0] == visit), key=lambda o: (o[1], o[2].key))
        for _, _, scan in layer:
            by_diagnosis.setdefault(cohort.diagnosis_of(scan.participant_id), []).append(scan)
    groups = sorted(by_diagnosis.values(), key=len)
    chosen: list[Scan] = []
    for index, group in enumerate(groups):
        share = (most - len(chosen)) // (len(groups) - index)
        first_visits = [s for s in group if _is_first(s, group)]
        pool = first_visits if len(first_visits) >= share else group
        chosen += _spread(pool, share)
    return sorted(chosen, key=lambda scan: scan.key)


def _is_first(scan: Scan, group: Sequence[Scan]) -> bool:
    return next(s for s in group if s.participant_id == scan.participant_id) is scan


def _spread(items: Sequence[Scan], count: int) -> list[Scan]:
    """``count`` of the items, evenly spaced from the first to the last."""
    if count >= len(items):
        return list(items)
    if count == 1:
        return [items[len(items) // 2]]
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]
