"""The trained network on whole validation scans, exactly as inference will run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.imaging.reading import read_mask
from lesion_dynamics.lesions.agreement import Agreement, agreement, summarise
from lesion_dynamics.lesions.operating_point import lesion_mask
from lesion_dynamics.lesions.operating_point_choice import ValidationScan
from lesion_dynamics.preprocessing.prepare import prepare_scan
from lesion_dynamics.preprocessing.steps import COMPUTED, Steps
from lesion_dynamics.segmenter.segmenter import Segmenter
from lesion_dynamics.settings.cohort import Prepared
from lesion_dynamics.settings.operating_point import OperatingPoint


def probabilities(
    segmenter: Segmenter, scans: Sequence[Scan], prepared: Prepared, *, steps: Steps = COMPUTED
) -> list[ValidationScan]:
    """Lesion probability and reference of every scan on its native FLAIR grid."""
    found = []
    for scan in scans:
        assert scan.reference_mask is not None
        ready = prepare_scan(scan, prepared, settings=segmenter.settings.preprocessing, steps=steps)
        probability = segmenter.probability(ready)
        found.append(
            ValidationScan(
                probability=probability.voxels,
                reference=read_mask(scan.reference_mask).voxels,
                voxel_volume_mm3=probability.voxel_volume_mm3,
            )
        )
    return found


def validation_record(
    scans: Sequence[Scan],
    diagnoses: Sequence[str],
    evaluated: Sequence[ValidationScan],
    operating_point: OperatingPoint,
) -> dict[str, Any]:
    """Agreement at the operating point: over all, by diagnosis, and scan by scan.

    Volume differences stand by diagnosis because one that differs between diagnoses would
    fake a difference between them in the study.
    """
    agreements = [_at(scan, operating_point) for scan in evaluated]
    by_diagnosis = {
        diagnosis: summarise(
            [a for a, d in zip(agreements, diagnoses, strict=True) if d == diagnosis]
        )
        for diagnosis in sorted(set(diagnoses))
    }
    return {
        "scans": len(agreements),
        "all": summarise(agreements),
        "by_diagnosis": by_diagnosis,
        "each": [
            {"participant_id": scan.participant_id, "session_id": scan.session_id, **asdict(a)}
            for scan, a in zip(scans, agreements, strict=True)
        ],
    }


def _at(scan: ValidationScan, operating_point: OperatingPoint) -> Agreement:
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
        minimum_lesion_volume_mm3=operating_point.minimum_lesion_volume_mm3,
    )
