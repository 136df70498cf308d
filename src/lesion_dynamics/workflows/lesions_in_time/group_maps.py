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
    groups = {d: [p for p in participants if p.diagnosis == d] for d in DIAGNOSES}
    groups = {diagnosis: own for diagnosis, own in groups.items() if own}
    sizes = {diagnosis: len(own) for diagnosis, own in groups.items()}
    shape = maps.brain.shape
    written = {
        f"diagnosis-{diagnosis}_timepoint-{timepoint}_lesionfrequency": frequency(
            [read[p.scan_at(timepoint)].lesions for p in own], shape
        )
        for diagnosis, own in groups.items()
        for timepoint in TIMEPOINTS
    }
    tracked = {
        diagnosis: [new for p in own if (new := _new_places(p, read)) is not None]
        for diagnosis, own in groups.items()
    }
    if not any(tracked.values()):
        _LOG.info("no maps of new lesions: lesion-dynamics track was not run on this folder")
    for diagnosis, own_places in tracked.items():
        if own_places:
            new_lesions = frequency(own_places, shape)
            written[f"diagnosis-{diagnosis}_newlesionfrequency"] = new_lesions
    comparisons: dict[str, Any] = {}
    contrast: ContrastShown | None = None
    for timepoint in TIMEPOINTS:
        values, comparisons[timepoint] = _comparison(
            participants, timepoint, read, maps.brain, settings
        )
        if values is not None:
            name = f"contrast-MSminusNMOSD_timepoint-{timepoint}"
            written |= {f"{name}_tstat": values.t, f"{name}_pfwe": values.p_fwe}
            contrast = values
    files = [folder / f"{name}.nii.gz" for name in written]
    for path, values_of in zip(files, written.values(), strict=True):
        write_values(path, Image(values_of, maps.affine))
    picture = GroupMaps(
        template=mni_template(1).t1w.voxels,
        origin_mm=maps.affine[:3, 3],
        frequency={d: written[f"diagnosis-{d}_timepoint-last_lesionfrequency"] for d in groups},
        participants=sizes,
        contrast=contrast,
        alpha=settings.alpha,
    )
    files += draw_lesion_maps(folder, _PICTURE, picture)
    made_of = {
        "participants": sizes,
        "participants_with_tracking": {d: len(places) for d, places in tracked.items()},
        "comparison": comparisons,
    }
    return GroupAccount(tuple(files), made_of | _method(settings))


def _method(settings: LesionMapsSettings) -> dict[str, Any]:
    """What the maps mean and how the comparison is made, for the record."""
    return {
        "frequency": "share of participants with a lesion in the voxel, 0 to 1",
        "new_lesion_frequency": "share of participants with a new lesion there in any interval",
        "method": "permuted ordinary least squares at every voxel, two-sided, family-wise"
        " correction by the largest statistic (nilearn.mass_univariate.permuted_ols)",
        "permutations": settings.permutations,
        "seed": settings.seed,
        "covariates": list(settings.covariates),
    }


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
