"""Take corrected masks back as reference masks of the cohort."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from lesion_dynamics import __version__
from lesion_dynamics.atomic_files import hash_of_file, require_writable_folder, write_json
from lesion_dynamics.cohort.bids_name import BidsName
from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.cohort.reading import read_cohort
from lesion_dynamics.errors import CohortError, ConfigurationError, ScanError
from lesion_dynamics.imaging.geometry import same_grid
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_header, read_mask
from lesion_dynamics.imaging.writing import write_mask
from lesion_dynamics.records.pinned_data import record_new_state
from lesion_dynamics.settings.corrections import TakeCorrectionsSettings
from lesion_dynamics.workflows.corrections.laid_out import (
    MASK_FILE,
    LaidOut,
    LaidOutScan,
    hash_of_voxels,
    read_laid_out,
    without_labels,
)

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """taken : reference masks written. unchanged : scans whose mask nobody changed, left out."""

    taken: tuple[Path, ...]
    unchanged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Correction:
    laid_out: LaidOutScan
    mask: Image
    changed: bool
    target: Path
    facts: dict[str, Any]


def run(settings: TakeCorrectionsSettings) -> Taken:
    """Check every corrected mask, then write them all; with one that is wrong, none is written.

    Raises
    ------
    UserError : a mask is missing, on another grid or not binary; the FLAIR has changed since;
        a reference mask is there already and ``replace`` is off.
    """
    if settings.cohort.reference_masks is None:
        raise ConfigurationError(
            "this cohort has no folder for reference masks",
            where="cohort.reference_masks",
            remedy="Name one: cohort.reference_masks=/path/to/derivatives/reference.",
        )
    laid_out = read_laid_out(settings.corrections)
    scans = {scan.key: scan for scan in read_cohort(without_labels(settings.cohort)).scans}
    found = [_checked(one, laid_out, scans, settings) for one in laid_out.scans]
    wanted = [one for one in found if one.changed or settings.unchanged == "take"]
    _require_free(wanted, settings)
    require_writable_folder(settings.cohort.reference_masks)
    for one in wanted:
        sidecar = one.target.with_name(one.target.name.removesuffix(".nii.gz") + ".json")
        write_json(sidecar, one.facts)
        write_mask(one.target, one.mask)  # last, as proof that both are there
    unchanged = tuple(one.laid_out.folder_name for one in found if one not in wanted)
    for name in unchanged:
        _LOG.info("not changed, left out: %s (unchanged=take: it was looked at and is right)", name)
    if wanted:
        said = record_new_state(settings.cohort.reference_masks)
        _LOG.info("%d reference mask(s) taken; %s", len(wanted), said)
        _LOG.info(
            "to train on from here: python train.py split_from=%s initial_model_version=%s",
            laid_out.model_version,
            laid_out.model_version,
        )
    return Taken(tuple(one.target for one in wanted), unchanged)


def _checked(
    one: LaidOutScan,
    laid_out: LaidOut,
    scans: dict[tuple[str, str], Scan],
    settings: TakeCorrectionsSettings,
) -> _Correction:
    path = settings.corrections / one.folder_name / MASK_FILE
    scan = scans.get((one.participant_id, one.session_id))
    if scan is None or hash_of_file(scan.images["FLAIR"]) != one.flair_sha256:
        raise CohortError(
            "this is not the scan that was laid out: its FLAIR is missing or has changed",
            where=one.folder_name,
            remedy="Name the cohort it came from, or lay it out and correct it again.",
        )
    if not path.is_file():
        raise ScanError(
            "the corrected mask is missing",
            where=path,
            remedy=f"Save it as {MASK_FILE} in the scan's folder.",
        )
    mask, flair = read_mask(path), read_header(scan.images["FLAIR"])
    if not same_grid(mask.shape, mask.affine, flair.shape, flair.affine):
        raise ScanError(
            "the corrected mask is not on the grid of its FLAIR",
            where=path,
            remedy="Save it with the geometry of the FLAIR, not of another image or a crop.",
        )
    assert settings.cohort.reference_masks is not None
    name = BidsName.of_scan(one.participant_id, one.session_id, suffix="FLAIR")
    target = name.having({"label": "L"}, suffix="mask").path_under(settings.cohort.reference_masks)
    changed = hash_of_voxels(mask) != one.voxels_sha256
    facts = {
        "Type": "Lesion",
        "Description": "Reference mask: a model's mask, corrected by a person",
        "Sources": [f"bids:raw:{scan.images['FLAIR'].relative_to(settings.cohort.root)}"],
        "CorrectedBy": settings.corrected_by,
        "CorrectedOn": date.today().isoformat(),
        "FromModelVersion": laid_out.model_version,
        "FromWeightsSHA256": laid_out.weights_sha256,
        "FromVoxelsSHA256": one.voxels_sha256,
        "Changed": changed,
        "LesionVolume_mm3": float((mask.voxels > 0).sum() * mask.voxel_volume_mm3),
        "Software": f"lesion-dynamics {__version__}",
    }
    return _Correction(one, mask, changed, target, facts)


def _require_free(wanted: list[_Correction], settings: TakeCorrectionsSettings) -> None:
    there = [one for one in wanted if one.target.exists()]
    if there and not settings.replace:
        raise CohortError(
            f"{len(there)} scan(s) have a reference mask already; the first: "
            f"{there[0].laid_out.folder_name}",
            where=there[0].target,
            remedy="With replace=true the corrected masks take their place.",
        )
