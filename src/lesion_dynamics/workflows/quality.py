"""Pictures of quality control, from a cohort and what an inference wrote about it."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics.atomic_files import require_writable_folder
from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import CohortError
from lesion_dynamics.longitudinal.measurements import FILE_NAME, MEASURED, read_measurements
from lesion_dynamics.preprocessing.step_cache import open_cache
from lesion_dynamics.preprocessing.steps import Steps
from lesion_dynamics.records.derivatives import ScanOutputs
from lesion_dynamics.report.quality_pictures import Thumbnail, draw_contact_sheets
from lesion_dynamics.settings.preprocessing import PreprocessingSettings
from lesion_dynamics.settings.quality_pictures import QualityPicturesSettings
from lesion_dynamics.workflows.inference_quality import QUALITY_TABLE
from lesion_dynamics.workflows.lineage.derived import every_file, write_derived_lineage
from lesion_dynamics.workflows.quality_worker import (
    DrawnScan,
    ParticipantPictures,
    begin_drawing,
    draw_participant,
)
from lesion_dynamics.workflows.spreading import spread

_LOG = logging.getLogger(__name__)
FOLDER = "quality"


@dataclass(frozen=True, slots=True)
class QualityPictures:
    """folder : holds the pictures. sheets : paths. scans : on the sheets. failed : reasons."""

    folder: Path
    sheets: tuple[Path, ...]
    scans: int
    failed: tuple[str, ...]


def run(settings: QualityPicturesSettings) -> QualityPictures:
    """Draw one picture a scan and the contact sheets, into ``<derivatives>/quality``.

    Raises
    ------
    UserError : nothing was segmented there, or the cohort is another one.
    """
    folder = settings.derivatives / FOLDER
    measured, flags = _tables(settings.derivatives)
    cohort = read_cohort(settings.cohort)
    participants = _participants(cohort.scans, measured, flags, settings)
    if not participants:
        raise CohortError(
            f"none of its scans belongs to the cohort {settings.cohort.name}",
            where=settings.derivatives,
            remedy="Name the cohort that was segmented, for example cohort=bids cohort.root=...",
        )
    require_writable_folder(folder)
    thumbnails: list[Thumbnail] = []
    failed: list[str] = []
    for done in spread(
        draw_participant,
        participants,
        executor=settings.executor,
        description="drawing participants",
        initializer=begin_drawing,
        arguments=(
            settings.cohort,
            Steps(open_cache(settings.cache)),
            settings.executor.threads_per_process,
        ),
    ):
        if done.result is None:
            failed.append(f"{done.item.scans[0].scan.participant_id}: {done.failure}")
        else:
            thumbnails += done.result
    sheets = draw_contact_sheets(folder, thumbnails)
    write_derived_lineage(
        folder,
        command="quality",
        source=("quality", "report/quality_pictures", "preprocessing", "imaging"),
        outputs=every_file(folder),
        settings=settings,
        made_from=[settings.derivatives],
        cohort_root=settings.cohort.root,
    )
    for reason in failed:
        _LOG.warning("not drawn: %s", reason)
    _LOG.info("%d scans on %d contact sheet(s) in %s", len(thumbnails), len(sheets), folder)
    return QualityPictures(folder, tuple(sheets), len(thumbnails), tuple(failed))


def _tables(derivatives: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    for name in (FILE_NAME, QUALITY_TABLE):
        if not (derivatives / name).is_file():
            raise CohortError(
                f"there is no {name} here",
                where=derivatives,
                remedy="Name the folder of one model version, and run infer.py first.",
            )
    measured = read_measurements(derivatives / FILE_NAME)
    flags = pd.read_csv(
        derivatives / QUALITY_TABLE,
        sep="\t",
        usecols=["participant_id", "session_id", "flag_count", "flags"],
        dtype={"participant_id": str, "session_id": str, "flags": str},
        keep_default_na=False,
    )
    index = ["participant_id", "session_id"]
    return measured[measured["status"] == MEASURED].set_index(index), flags.set_index(index)


def _participants(
    scans: Sequence[Scan],
    measured: pd.DataFrame,
    flags: pd.DataFrame,
    settings: QualityPicturesSettings,
) -> list[ParticipantPictures]:
    rows = measured.to_dict("index")
    flagged = flags.to_dict("index")
    wanted = [scan for scan in scans if scan.key in rows]
    found = []
    for _, members in groupby(wanted, key=lambda scan: scan.participant_id):
        drawn = []
        for scan in members:
            row = rows[scan.key]
            said = flagged.get(scan.key, {"flag_count": 0, "flags": ""})
            draw = {"all": True, "flagged": said["flag_count"] > 0, "none": False}
            name = f"{scan.participant_id}_{scan.session_id}_quality.png"
            drawn.append(
                DrawnScan(
                    scan=scan,
                    mask=ScanOutputs.of(*scan.key, settings.derivatives).mask,
                    lesion_volume_mm3=float(row["lesion_volume_mm3"]),
                    model_version=str(row["model_version"]),
                    flag_count=int(said["flag_count"]),
                    flags=str(said["flags"]),
                    path=settings.derivatives / FOLDER / name if draw[settings.pictures] else None,
                )
            )
        preprocessing = _preprocessing(drawn[0].mask)
        found.append(ParticipantPictures(tuple(drawn), preprocessing))
    return found


def _preprocessing(mask: Path) -> PreprocessingSettings:
    """The settings that the masks were made with, from a sidecar."""
    sidecar = mask.with_name(mask.name.removesuffix(".nii.gz") + ".json")
    try:
        content: dict[str, Any] = json.loads(sidecar.read_text(encoding="utf-8"))
        return PreprocessingSettings.model_validate(content["Preprocessing"]["Settings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CohortError(
            "the sidecar of this mask cannot be read",
            where=sidecar,
            remedy="Run infer.py again: it restores what is missing.",
        ) from error
