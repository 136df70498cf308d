"""The trained network on whole validation scans, exactly as inference will run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, overload

import numpy as np

from lesion_dynamics.atomic_files import write_bytes
from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.imaging.writing import as_stored
from lesion_dynamics.lesions.agreement import Agreement, agreement, summarise
from lesion_dynamics.lesions.calibration import Reliability, pooled, reliability
from lesion_dynamics.lesions.operating_point import lesion_mask
from lesion_dynamics.lesions.operating_point_choice import ValidationScan
from lesion_dynamics.npy_bytes import npy_bytes
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.preprocessing.steps import COMPUTED, Steps
from lesion_dynamics.segmenter.segmenter import Segmenter
from lesion_dynamics.settings.cohort import Prepared
from lesion_dynamics.settings.operating_point import OperatingPoint


def probabilities(
    segmenter: Segmenter,
    scans: Sequence[Scan],
    prepared: Prepared,
    *,
    folder: Path,
    steps: Steps = COMPUTED,
) -> Sequence[ValidationScan]:
    """Lesion probability, in the steps that files hold, and reference of every scan on its native
    FLAIR grid.

    folder : receives the arrays, and must stay while they are used: a scan is read from there
        each time it is looked at, so that a cohort may be larger than the memory.

    Raises
    ------
    OutputError : an array does not fit on the disk.
    """
    kept = _ScansOnDisk(folder)
    for scan in scans:
        assert scan.reference_mask is not None
        ready = prepare_scan(scan, prepared, settings=segmenter.settings.preprocessing, steps=steps)
        # In inference's steps: the threshold that is chosen is then the one that is applied.
        probability = as_stored(segmenter.probability(ready))
        kept.append(
            ValidationScan(
                probability=probability.voxels,
                reference=read_mask(scan.reference_mask).voxels,
                voxel_volume_mm3=probability.voxel_volume_mm3,
                brain_mask=ready.brain_mask.voxels,
                affine=probability.affine,
            )
        )
    return kept


class _ScansOnDisk(Sequence[ValidationScan]):
    """Validation scans in a folder; one at a time is in memory."""

    _ARRAYS = ("probability", "reference", "brain_mask")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._others: list[tuple[float, Affine | None]] = []

    def append(self, scan: ValidationScan) -> None:
        for name in self._ARRAYS:
            write_bytes(self._path(len(self), name), npy_bytes(getattr(scan, name)))
        self._others.append((scan.voxel_volume_mm3, scan.affine))

    def __len__(self) -> int:
        return len(self._others)

    @overload
    def __getitem__(self, place: int) -> ValidationScan: ...
    @overload
    def __getitem__(self, place: slice) -> list[ValidationScan]: ...
    def __getitem__(self, place: int | slice) -> ValidationScan | list[ValidationScan]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        voxel_volume_mm3, affine = self._others[place]
        arrays = {name: np.load(self._path(place % len(self), name)) for name in self._ARRAYS}
        return ValidationScan(**arrays, voxel_volume_mm3=voxel_volume_mm3, affine=affine)

    def _path(self, place: int, name: str) -> Path:
        return self._folder / f"{place}-{name}.npy"


def validation_record(
    scans: Sequence[Scan],
    diagnoses: Sequence[str],
    evaluated: Sequence[ValidationScan],
    operating_point: OperatingPoint,
    *,
    sieve_mm3: float = 0.0,
) -> dict[str, Any]:
    """Agreement at the operating point, and calibration of the probability: over all, by
    diagnosis, and scan by scan.

    Volume differences stand by diagnosis because one that differs between diagnoses would
    fake a difference between them in the study.

    sieve_mm3 : lesions below it are dropped from reference and prediction, and the record says
        so. 0: the whole reference, whatever the operating point drops from the prediction. Were
        its own minimum the sieve, one that drops more would have less left to find, and two
        trainings would not be measured on the same lesions.
    """
    agreements = [_at(scan, operating_point, sieve_mm3) for scan in evaluated]
    counted = [_reliability(scan) for scan in evaluated]

    def record(diagnosis: str | None) -> tuple[dict[str, float | int], Reliability]:
        chosen = [i for i, d in enumerate(diagnoses) if diagnosis in (None, d)]
        reliable = pooled(counted[i] for i in chosen)
        return summarise([agreements[i] for i in chosen]) | _calibration(reliable), reliable

    summary, reliable = record(None)
    return {
        "scans": len(agreements),
        "sieve_mm3": sieve_mm3,
        "all": summary,
        "by_diagnosis": {d: record(d)[0] for d in sorted(set(diagnoses))},
        "reliability": reliable.table(),
        "each": [
            {"participant_id": scan.participant_id, "session_id": scan.session_id, **asdict(a)}
            for scan, a in zip(scans, agreements, strict=True)
        ],
    }


def worst_median_best(record: Mapping[str, Any]) -> dict[str, int]:
    """Places in ``record["each"]`` of the worst, the median and the best scan by Dice, among
    those with reference lesions; fewer than three scans: those there are.
    """
    each = record["each"]
    ranked = sorted(
        (one["dice"], place) for place, one in enumerate(each) if one["reference_lesion_count"]
    )
    places = {"worst": 0, "median": (len(ranked) - 1) // 2, "best": len(ranked) - 1}
    chosen: dict[str, int] = {}
    for name, rank in places.items():
        if ranked and ranked[rank][1] not in chosen.values():
            chosen[name] = ranked[rank][1]
    return chosen


def _calibration(reliable: Reliability) -> dict[str, float | int]:
    """Expected calibration error over the brain, and over its voxels of 1% and more."""
    errors = {
        "expected_calibration_error": reliable.expected_calibration_error(),
        "expected_calibration_error_from_1_percent": reliable.expected_calibration_error(
            lowest=0.01
        ),
    }
    return {name: value for name, value in errors.items() if value is not None}


def _reliability(scan: ValidationScan) -> Reliability:
    within = np.ones(scan.reference.shape) if scan.brain_mask is None else scan.brain_mask
    return reliability(scan.probability, scan.reference, within=within)


def _at(scan: ValidationScan, operating_point: OperatingPoint, sieve_mm3: float) -> Agreement:
    mask = lesion_mask(
        scan.probability,
        voxel_volume_mm3=scan.voxel_volume_mm3,
        operating_point=operating_point,
    )
    return agreement(
        np.asarray(scan.reference),
        mask,
        voxel_volume_mm3=scan.voxel_volume_mm3,
        connectivity=operating_point.connectivity,
        minimum_lesion_volume_mm3=sieve_mm3,
        affine=scan.affine,
    )
