"""Maps over participants: how often each voxel is lesion, and where the diagnoses differ."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.writing import write_values
from lesion_dynamics.lesions.map_contrast import contrast_maps
from lesion_dynamics.preprocessing.mni import mni_template
from lesion_dynamics.preprocessing.mni_regions import region_maps
from lesion_dynamics.report.lesion_maps import ContrastShown, GroupMaps, draw_lesion_maps
from lesion_dynamics.settings.lesion_maps import LesionMapsSettings
from lesion_dynamics.workflows.lesions_in_time.mni_scan import ScanInMni

_LOG = logging.getLogger(__name__)
TIMEPOINTS = ("first", "last")
_PICTURE = "lesion_maps"


@dataclass(frozen=True, slots=True)
class Participant:
    """session_ids : measured ones, in the order of their days. covariates : numbers."""

    participant_id: str
    diagnosis: str
    session_ids: tuple[str, ...]
    covariates: tuple[float, ...]

    def scan_at(self, timepoint: str) -> tuple[str, str]:
        """Key of the first or the last scan."""
        return (self.participant_id, self.session_ids[0 if timepoint == "first" else -1])


@dataclass(frozen=True, slots=True)
class GroupAccount:
    """files : written. record : what they were made of, for the JSON beside them."""

    files: tuple[Path, ...]
    record: dict[str, Any]


def write_group_maps(
    folder: Path,
    participants: Sequence[Participant],
    read: Mapping[tuple[str, str], ScanInMni],
    settings: LesionMapsSettings,
) -> GroupAccount:
    """Write frequency maps by diagnosis, the comparison at either timepoint, and the picture."""
    maps = region_maps()
    files: list[Path] = []
    groups = {d: [p for p in participants if p.diagnosis == d] for d in DIAGNOSES}
    groups = {diagnosis: own for diagnosis, own in groups.items() if own}
    shown: dict[str, NDArray[np.float32]] = {}

    def write(name: str, values: NDArray[np.float32]) -> None:
        path = folder / f"{name}.nii.gz"
        write_values(path, Image(values, maps.affine))
        files.append(path)

    new_n: dict[str, int] = {}
    for diagnosis, own in groups.items():
        for timepoint in TIMEPOINTS:
            found = frequency([read[p.scan_at(timepoint)].lesions for p in own], maps.brain.shape)
            write(f"diagnosis-{diagnosis}_timepoint-{timepoint}_lesionfrequency", found)
            shown[diagnosis] = found
        tracked = [places for p in own if (places := _new_places(p, read)) is not None]
        new_n[diagnosis] = len(tracked)
        if tracked:
            found = frequency(tracked, maps.brain.shape)
            write(f"diagnosis-{diagnosis}_newlesionfrequency", found)
    if not any(new_n.values()):
        _LOG.info("no maps of new lesions: lesion-dynamics track was not run on this folder")
    comparisons: dict[str, Any] = {}
    contrast: ContrastShown | None = None
    for timepoint in TIMEPOINTS:
        values, account = _comparison(participants, timepoint, read, maps.brain, settings)
        comparisons[timepoint] = account
        if values is not None:
            name = f"contrast-MSminusNMOSD_timepoint-{timepoint}"
            write(f"{name}_tstat", values.t)
            write(f"{name}_pfwe", values.p_fwe)
            contrast = values
    record = {
        "participants": {diagnosis: len(own) for diagnosis, own in groups.items()},
        "participants_with_tracking": new_n,
        "frequency": "share of participants with a lesion in the voxel, 0 to 1",
        "new_lesion_frequency": "share of participants with a new lesion there in any interval",
        "comparison": comparisons,
        "method": "permuted ordinary least squares at every voxel, two-sided, family-wise"
        " correction by the largest statistic (nilearn.mass_univariate.permuted_ols)",
        "permutations": settings.permutations,
        "seed": settings.seed,
        "covariates": list(settings.covariates),
    }
    picture = GroupMaps(
        template=mni_template(1).t1w.voxels,
        origin_mm=maps.affine[:3, 3],
        frequency=shown,
        participants={diagnosis: len(own) for diagnosis, own in groups.items()},
        contrast=contrast,
        alpha=settings.alpha,
    )
    files += draw_lesion_maps(folder, _PICTURE, picture)
    return GroupAccount(tuple(files), record)


def frequency(scans: Sequence[NDArray[np.int32]], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Share of the scans in which each voxel is lesion, from flat indices; (x, y, z)."""
    counts = np.zeros(int(np.prod(shape)), dtype=np.int32)
    for places in scans:
        counts[places] += 1  # a scan names a voxel once
    return (counts / len(scans)).astype(np.float32).reshape(shape)


def _new_places(
    participant: Participant, read: Mapping[tuple[str, str], ScanInMni]
) -> NDArray[np.int32] | None:
    """Voxels new in any interval; None where no interval was tracked."""
    found = [read[participant.participant_id, s].new for s in participant.session_ids[1:]]
    known = [places for places in found if places is not None]
    return np.unique(np.concatenate(known)) if known else None


def _comparison(
    participants: Sequence[Participant],
    timepoint: str,
    read: Mapping[tuple[str, str], ScanInMni],
    brain: NDArray[np.bool_],
    settings: LesionMapsSettings,
) -> tuple[ContrastShown | None, dict[str, Any]]:
    """Maps of t and p, or None, and what was done or why not."""
    if settings.permutations == 0:
        return None, {"done": False, "reason": "permutations=0"}
    places = [read[p.scan_at(timepoint)].lesions for p in participants]
    counts = np.zeros(brain.size, dtype=np.int32)
    for own in places:
        counts[own] += 1
    enough = (counts >= settings.fewest_participants) & (counts < len(participants))
    chosen = np.flatnonzero(enough & brain.ravel())
    if not len(chosen):
        reason = f"no voxel is lesion in {settings.fewest_participants} participants"
        return _none(timepoint, reason)
    column = np.full(brain.size, -1, dtype=np.int64)
    column[chosen] = np.arange(len(chosen))
    lesions = np.zeros((len(places), len(chosen)), dtype=np.uint8)
    for row, own in enumerate(places):
        columns = column[own]
        lesions[row, columns[columns >= 0]] = 1
    try:
        found = contrast_maps(
            lesions,
            in_first_group=np.array([p.diagnosis == DIAGNOSES[0] for p in participants]),
            covariates=np.array([p.covariates for p in participants], dtype=np.float64),
            permutations=settings.permutations,
            seed=settings.seed,
        )
    except ValueError as error:
        return _none(timepoint, str(error))
    t, p = np.zeros(brain.size, dtype=np.float32), np.ones(brain.size, dtype=np.float32)
    t[chosen], p[chosen] = found.t, found.p_fwe
    account = {
        "done": True,
        "voxels": len(chosen),
        "smallest_p_fwe": round(float(found.p_fwe.min()), 6),
        f"voxels_below_{settings.alpha:g}": int((found.p_fwe < settings.alpha).sum()),
    }
    return ContrastShown(t.reshape(brain.shape), p.reshape(brain.shape), timepoint), account


def _none(timepoint: str, reason: str) -> tuple[None, dict[str, Any]]:
    _LOG.warning("the diagnoses are not compared at the %s session: %s", timepoint, reason)
    return None, {"done": False, "reason": reason}
