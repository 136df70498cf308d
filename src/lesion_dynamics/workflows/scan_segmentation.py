"""One prepared scan to probability, mask and volumes: the same for a command and from Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.writing import as_stored
from lesion_dynamics.lesions.measurement import LesionMeasurement, measure
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.settings.operating_point import OperatingPoint

if TYPE_CHECKING:
    from lesion_dynamics.segmenter.segmenter import Segmenter


@dataclass(frozen=True, slots=True)
class SegmentedScan:
    """What a segmenter makes of a scan.

    probability : on the native FLAIR grid, in the steps that files hold. mask : uint8 of 0 and 1.
    volumes_are_native : False where the volumes are corrected for the scanner's geometry.
    """

    probability: Image
    mask: Image
    measured: LesionMeasurement
    brain_volume_mm3: float
    volumes_are_native: bool


def segmented(
    segmenter: Segmenter,
    prepared: PreparedScan,
    operating_point: OperatingPoint,
    *,
    probability: Image | None = None,
) -> SegmentedScan:
    """Apply the network and the operating point, and measure.

    probability : found before, on the native grid; None: the network is applied.
    """
    from lesion_dynamics.segmenter.segmenter import mask_at  # loads torch

    if probability is None:
        probability = segmenter.probability(prepared)
    probability = as_stored(probability)
    mask = mask_at(probability, operating_point)
    scale = prepared.volume_scale()
    brain = prepared.brain_mask
    return SegmentedScan(
        probability=probability,
        mask=mask,
        measured=measure(mask, connectivity=operating_point.connectivity, volume_scale=scale),
        brain_volume_mm3=_voxels_of(brain, scale) * brain.voxel_volume_mm3,
        volumes_are_native=isinstance(scale, float) and scale == 1.0,
    )


def _voxels_of(brain: Image, scale: NDArray[np.float64] | float) -> float:
    """Voxels of a mask, each counted as ``scale`` of itself."""
    if isinstance(scale, float):
        return float(np.count_nonzero(brain.voxels)) * scale
    return float(scale[brain.voxels > 0].sum())
