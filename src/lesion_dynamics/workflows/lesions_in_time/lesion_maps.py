"""Lesion maps: masks in MNI space become frequency maps, a comparison and a table of regions."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from lesion_dynamics import __version__
from lesion_dynamics.atomic_files import (
    hash_of_content,
    hash_of_file,
    require_writable_folder,
    write_json,
    write_text,
)
from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.cohort.reading import read_tables
from lesion_dynamics.errors import CohortError, ScanError
from lesion_dynamics.lesions.regions import REGIONS
from lesion_dynamics.preprocessing.mni import SPACE
from lesion_dynamics.preprocessing.mni_regions import JUXTACORTICAL_MM, PERIVENTRICULAR_MM
from lesion_dynamics.settings.lesion_maps import LesionMapsSettings
from lesion_dynamics.settings.operating_point import Connectivity
from lesion_dynamics.source_hash import hash_of_source
from lesion_dynamics.workflows.lesions_in_time.group_maps import Participant, write_group_maps
from lesion_dynamics.workflows.lesions_in_time.mni_scan import MniScan, ScanInMni, read_scan
from lesion_dynamics.workflows.lesions_in_time.segmented_sessions import (
    SegmentedSession,
    segmented_sessions,
)
from lesion_dynamics.workflows.lesions_in_time.tasks import change_map_of
from lesion_dynamics.workflows.lineage.derived import every_file, write_derived_lineage
from lesion_dynamics.workflows.processes import in_processes

_LOG = logging.getLogger(__name__)
FOLDER = "group"
RECORD = "lesion_maps.json"
REGIONS_FILE = "regions.tsv"
_SOURCE = (
    "imaging",
    "lesions",
    "preprocessing/mni_regions",
    "preprocessing/transform",
    "report/lesion_maps",
    "workflows/lesions_in_time",
)


@dataclass(frozen=True, slots=True)
class LesionMaps:
    """folder : of maps, table and pictures. scans : in it. kept : nothing had changed."""

    folder: Path
    scans: int
    kept: bool


def run(settings: LesionMapsSettings) -> LesionMaps:
    """Make all maps of a model version, unless they are there and nothing has changed.

    Raises
    ------
    UserError : nothing was segmented there, no masks in MNI space, a covariate is missing.
    """
    tables = read_tables(settings.cohort)
    sessions = segmented_sessions(settings.derivatives, tables)
    scans = [_scan(one, settings.derivatives) for one in sessions]
    _require_masks_in_mni(scans, settings)
    folder = settings.derivatives / FOLDER
    participants = _participants(sessions, tables, settings)
    key = _key(scans, participants, settings)
    if _finished(folder, key):
        _write_lineage(folder, settings)
        _LOG.info("%d scans, nothing has changed: maps in %s", len(scans), folder)
        return LesionMaps(folder, len(scans), kept=True)
    require_writable_folder(folder)
    (folder / RECORD).unlink(missing_ok=True)
    read = _read(scans, settings)
    regions = _regions(sessions, read)
    table = folder / REGIONS_FILE
    write_text(table, regions.to_csv(sep="\t", index=False, lineterminator="\n"))
    account = write_group_maps(folder, participants, read, settings)
    written = [table, *account.files]
    write_json(
        folder / RECORD,
        {
            **account.record,
            "template": f"{SPACE}, 1 mm, as nilearn ships it",
            "model_version": str(sessions[0].row["model_version"]),
            "regions": {
                "order": list(REGIONS),
                "periventricular_mm": PERIVENTRICULAR_MM,
                "juxtacortical_mm": JUXTACORTICAL_MM,
            },
            "software": f"lesion-dynamics {__version__}",
            "output_hashes": {path.name: hash_of_file(path) for path in written},
            "key": key,
        },
    )
    _write_lineage(folder, settings)
    _LOG.info("%d scans of %d participants: maps in %s", len(scans), len(participants), folder)
    return LesionMaps(folder, len(scans), kept=False)


def _write_lineage(folder: Path, settings: LesionMapsSettings) -> None:
    write_derived_lineage(
        folder,
        command="lesion-maps",
        source=_SOURCE,
        outputs=every_file(folder),
        settings=settings,
        made_from=[settings.derivatives],
        cohort_root=settings.cohort.root,
    )


def _scan(one: SegmentedSession, derivatives: Path) -> MniScan:
    changes = change_map_of(derivatives, one.participant_id, one.session_id)
    return MniScan(
        participant_id=one.participant_id,
        session_id=one.session_id,
        native_mask=one.outputs.mask,
        connectivity=cast(Connectivity, int(one.row["connectivity"])),
        change_map=changes if changes.is_file() else None,
    )


def _require_masks_in_mni(scans: Sequence[MniScan], settings: LesionMapsSettings) -> None:
    missing = [scan for scan in scans if not scan.mask.is_file()]
    if missing:
        raise CohortError(
            f"{len(missing)} of {len(scans)} scans have no lesion mask in MNI space, the first"
            f" is {missing[0].participant_id} {missing[0].session_id}",
            where=settings.derivatives,
            remedy="Run infer.py with mni=deformable (or mni=affine) on the same cohort.",
        )


def _participants(
    sessions: Sequence[SegmentedSession], tables: CohortTables, settings: LesionMapsSettings
) -> list[Participant]:
    rows = tables.participants.set_index("participant_id").to_dict("index")
    found: dict[str, list[str]] = {}
    for one in sessions:
        found.setdefault(one.participant_id, []).append(one.session_id)
    return [
        Participant(
            participant_id=name,
            diagnosis=str(rows[name]["diagnosis"]),
            session_ids=tuple(own),
            covariates=tuple(_covariate(rows[name], kind, name) for kind in settings.covariates)
            if settings.permutations
            else (),
        )
        for name, own in found.items()
    ]


def _covariate(row: Mapping[Any, Any], kind: str, name: str) -> float:
    value = row["age_years" if kind == "age" else "sex"]
    if value is None or pd.isna(value):
        raise CohortError(
            f"the {kind} of {name} is not known", where="participants.tsv",
            remedy=f"Fill it in, or leave {kind} out of covariates=[...].",
        )  # fmt: skip
    return float(value) if kind == "age" else float(value == "F")


def _key(
    scans: Sequence[MniScan], participants: Sequence[Participant], settings: LesionMapsSettings
) -> str:
    chosen = settings.model_dump(mode="json", exclude={"cohort", "derivatives", "processes"})
    return hash_of_content(
        {
            "source": hash_of_source(*_SOURCE),
            "settings": chosen,
            "inputs": [[*scan.key, [hash_of_file(path) for path in scan.inputs]] for scan in scans],
            "measurements": hash_of_file(settings.derivatives / "lesion_measurements.tsv"),
            "participants": [
                [p.participant_id, p.diagnosis, list(p.session_ids), list(p.covariates)]
                for p in participants
            ],
        }
    )


def _finished(folder: Path, key: str) -> bool:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return bool(record["key"] == key) and all(
            hash_of_file(folder / name) == written
            for name, written in record["output_hashes"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _read(
    scans: Sequence[MniScan], settings: LesionMapsSettings
) -> dict[tuple[str, str], ScanInMni]:
    read: dict[tuple[str, str], ScanInMni] = {}
    for done in in_processes(
        read_scan, scans, processes=settings.processes, description="reading lesion masks"
    ):
        if done.result is None:
            # A map of some scans would pass for one of all.
            raise ScanError(
                f"this scan cannot be mapped: {done.failure}", where=" ".join(done.item.key),
                remedy="Mend it, then start the same command again.",
            )  # fmt: skip
        read[done.item.key] = done.result
    return read


def _regions(
    sessions: Sequence[SegmentedSession], read: Mapping[tuple[str, str], ScanInMni]
) -> pd.DataFrame:
    """Native lesion volume times each region's share of it in MNI space."""
    return pd.DataFrame(
        [
            {
                "participant_id": one.participant_id,
                "session_id": one.session_id,
                "region": region,
                "lesion_volume_mm3": round(float(one.row["lesion_volume_mm3"]) * own.share, 3),
                "lesion_count": own.lesion_count,
            }
            for one in sessions
            for region, own in read[one.participant_id, one.session_id].regions.items()
        ]
    )
