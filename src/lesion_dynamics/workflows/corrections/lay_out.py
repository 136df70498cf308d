"""Lay the most doubtful scans out for a mask editor."""

from __future__ import annotations

import logging
import shutil

from lesion_dynamics.atomic_files import (
    hash_of_file,
    replacing,
    require_writable_folder,
    write_text,
)
from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import CohortError, MeasurementsError
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.longitudinal.measurements import FILE_NAME, read_measurements, table_at
from lesion_dynamics.records.derivatives import ScanOutputs
from lesion_dynamics.settings.corrections import RANKING_FILE, LayOutCorrectionsSettings
from lesion_dynamics.workflows.corrections.laid_out import (
    IMAGE_FILE,
    MASK_FILE,
    RECORD_FILE,
    LaidOut,
    LaidOutScan,
    hash_of_voxels,
    instructions,
    without_labels,
)
from lesion_dynamics.workflows.lineage.derived import every_file, write_derived_lineage

_LOG = logging.getLogger(__name__)


def run(settings: LayOutCorrectionsSettings) -> LaidOut:
    """Copy the FLAIR and the mask of the chosen scans into a folder each.

    Raises
    ------
    CohortError, MeasurementsError : not ranked, another cohort, or something is laid out there.
    """
    keys = _chosen(settings)
    cohort = read_cohort(without_labels(settings.cohort))
    scans = {scan.key: scan for scan in cohort.scans}
    missing = [key for key in keys if key not in scans]
    if missing:
        raise CohortError(
            f"{' '.join(missing[0])} is no scan of the cohort {settings.cohort.name}",
            where=settings.derivatives / RANKING_FILE,
            remedy="Name the cohort that was segmented, for example cohort=bids cohort.root=...",
        )
    require_writable_folder(settings.output)
    if (settings.output / RECORD_FILE).exists():
        raise CohortError(
            "scans are laid out here already, perhaps corrected",
            where=settings.output,
            remedy="Take those corrections first, or name another output folder.",
        )
    table = read_measurements(settings.derivatives / FILE_NAME)
    laid_out = LaidOut(
        str(table["model_version"].iloc[0]),
        str(table["weights_sha256"].iloc[0]),
        tuple(_lay_out(scans[key], settings) for key in keys),
    )
    write_text(settings.output / "README.md", instructions(laid_out))
    write_derived_lineage(
        settings.output,
        command="lay-out-corrections",
        source=("imaging", "workflows/corrections"),
        outputs=every_file(settings.output),
        settings=settings,
        made_from=[settings.derivatives],
        cohort_root=settings.cohort.root,
    )
    laid_out.write(settings.output)  # last: a folder without it can be laid out again
    _LOG.info("%d scan(s) in %s; its README.md says how to open them", len(keys), settings.output)
    return laid_out


def _chosen(settings: LayOutCorrectionsSettings) -> list[tuple[str, str]]:
    path = settings.derivatives / RANKING_FILE
    if not path.is_file():
        raise MeasurementsError(
            f"there is no {RANKING_FILE} here",
            where=settings.derivatives,
            remedy=f"Rank first: lesion-dynamics rank-scans 'derivatives=[{settings.derivatives}]'",
        )
    top = table_at(path).head(settings.scans)
    return list(zip(top["participant_id"], top["session_id"], strict=True))


def _lay_out(scan: Scan, settings: LayOutCorrectionsSettings) -> LaidOutScan:
    flair = scan.images["FLAIR"]
    mask = ScanOutputs.of(*scan.key, settings.derivatives).mask
    laid_out = LaidOutScan(*scan.key, hash_of_file(flair), hash_of_voxels(read_mask(mask)))
    folder = settings.output / laid_out.folder_name
    suffix = "".join(flair.suffixes[-2:]) if flair.name.endswith(".gz") else flair.suffix
    for source, name in (
        (flair, IMAGE_FILE.removesuffix(".nii.gz") + suffix),
        (mask, MASK_FILE),
    ):
        with replacing(folder / name) as temporary:
            shutil.copyfile(source, temporary)
    return laid_out
