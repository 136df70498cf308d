"""Quality control of an inference: measured by participant, kept by a key, flagged as a cohort."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from lesion_dynamics.atomic_files import hash_of_content, write_json, write_text
from lesion_dynamics.cohort.cohort import SEQUENCES, Cohort
from lesion_dynamics.quality.catalogue import Measure, measures_of
from lesion_dynamics.quality.flags import with_flags
from lesion_dynamics.quality.scan_measures import Measures
from lesion_dynamics.settings.preprocessing import PreprocessingSettings
from lesion_dynamics.settings.quality import QualitySettings
from lesion_dynamics.source_hash import hash_of_source
from lesion_dynamics.workflows.inference_tasks import ParticipantTask, QualityTask

_LOG = logging.getLogger(__name__)
QUALITY_TABLE = "quality.tsv"
QUALITY_SOURCE = ("imaging", "preprocessing", "quality", "settings/preprocessing")
_COLUMNS = {
    "scanner": "Scanner of the session, from the cohort's tables",
    "compared_with": "The scans that the flags compare this one with; n/a: too few",
    "flag_count": "Number of flags",
    "flags": "What stands out, the worst first; a flag never leaves a scan out",
}


@dataclass(frozen=True, slots=True)
class QualityResult:
    """table : path of quality.tsv. measured, flagged : scans. compared : whether to a cohort."""

    table: Path
    measured: int
    flagged: int
    compared: bool


def quality_task(
    task: ParticipantTask, folder: Path, settings: PreprocessingSettings
) -> QualityTask | None:
    """What is to be measured of a participant; None where it is measured and unchanged.

    The measures of a scan depend on the participant's other sessions, so the key covers all.
    """
    key = hash_of_content(
        {
            "source": hash_of_source(*QUALITY_SOURCE),
            "scans": [[one.scan.session_id, dict(one.input_hashes)] for one in task.scans],
            "preprocessing": settings.model_dump(mode="json"),
        }
    )
    path = _file_of(task.scans[0].scan.participant_id, folder)
    return None if _read(path).get("Key") == key else QualityTask(path, key)


def keep_measures(task: QualityTask, measured: Mapping[str, Measures]) -> None:
    """Write a participant's measures, session by session; what is not defined is null."""
    scans = {
        session: {name: None if math.isnan(value) else value for name, value in values.items()}
        for session, values in measured.items()
    }
    write_json(task.path, {"Key": task.key, "Scans": scans})


def write_quality_table(
    folder: Path,
    cohort: Cohort,
    settings: QualitySettings,
    *,
    known: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> QualityResult:
    """Flag every measured scan against the cohort; write ``quality.tsv`` and what it means.

    known : what the files of participants hold that do not lie in the folder.
    """
    rows = []
    scanners = cohort.tables.sessions.set_index(["participant_id", "session_id"])["scanner"]
    kept = {
        who: known.get(who) or quality_of(who, folder)
        for who in sorted({s.key[0] for s in cohort.scans})
    }
    for scan in cohort.scans:
        values = kept[scan.participant_id].get("Scans", {}).get(scan.session_id)
        if values is not None:
            names = {"participant_id": scan.participant_id, "session_id": scan.session_id}
            rows.append({**names, "scanner": scanners.get(scan.key), **values})
    measures = _measures(cohort)
    columns = ["participant_id", "session_id", "scanner", *(m.name for m in measures)]
    table = with_flags(pd.DataFrame(rows).reindex(columns=columns), measures, settings=settings)
    path = folder / QUALITY_TABLE
    write_text(
        path,
        table.to_csv(sep="\t", index=False, na_rep="n/a", float_format="%.6g", lineterminator="\n"),
    )
    write_json(path.with_suffix(".json"), _described(measures))
    flagged = int((table["flag_count"] > 0).sum())
    return QualityResult(path, len(table), flagged, len(table) >= settings.fewest_scans)


def report_quality(result: QualityResult, scans: int, settings: QualitySettings) -> None:
    """The line of quality control in the summary of an inference."""
    _LOG.info(
        "quality: %d of %d scans flagged, none left out for it; what stands out is in %s",
        result.flagged,
        result.measured,
        result.table,
    )
    if result.measured and not result.compared:
        _LOG.info(
            "quality: fewer than %d scans are no distribution: only missing slices and the field "
            "of view were judged",
            settings.fewest_scans,
        )
    if result.measured < scans:
        _LOG.warning("quality: %d scan(s) could not be measured", scans - result.measured)


def _measures(cohort: Cohort) -> Sequence[Measure]:
    present = {name for scan in cohort.scans for name in scan.images}
    return measures_of(tuple(name for name in SEQUENCES if name in present))


def quality_of(participant_id: str, folder: Path) -> dict[str, Any]:
    """What the file of a participant holds; empty where there is none."""
    return _read(_file_of(participant_id, folder))


def _file_of(participant_id: str, folder: Path) -> Path:
    return folder / participant_id / f"{participant_id}_quality.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _described(measures: Sequence[Measure]) -> dict[str, Any]:
    described: dict[str, Any] = {name: {"Description": text} for name, text in _COLUMNS.items()}
    for measure in measures:
        described[measure.name] = {"Description": measure.description}
        if measure.unit:
            described[measure.name]["Units"] = measure.unit
    return described
