"""All measures of the scans of one participant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.intensity import normalise_intensities
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan, PreparedSequence
from lesion_dynamics.preprocessing.resampling import resample
from lesion_dynamics.quality.agreement import dice, residual_z
from lesion_dynamics.quality.contrast import contrast_to_noise
from lesion_dynamics.quality.coverage import brain_at_edge_mm2, missing_slices
from lesion_dynamics.quality.ghosting import ghosting_percent
from lesion_dynamics.quality.noise import noise_standard_deviation, slice_plane
from lesion_dynamics.quality.participant_grid import flair_and_brain, participant_grid
from lesion_dynamics.quality.ringing import ringing_percent
from lesion_dynamics.quality.samples import at_most
from lesion_dynamics.settings.preprocessing import IntensitySettings

_GRID_MM = 3.0
_BRIGHT_FLUID = {"T2w"}
_FLUID_LIKE_TISSUE = {"PDw"}
"""Between grey and white matter, or as either: three classes do not part it."""
_OF_FLUID = ("fluid_contrast_to_noise", "grey_white_contrast_to_noise")
_FIELD_PERCENTILES = (2.0, 98.0)
Measures = dict[str, float]


def measure_participant(
    scans: Sequence[PreparedScan], *, intensity: IntensitySettings
) -> list[Measures]:
    """The measures of every scan, in the order given; NaN where one is not defined.

    scans : all sessions of the participant that could be prepared, aligned.
    """
    between = _between_sessions(scans, intensity=intensity)
    return [_of_scan(scan) | shared for scan, shared in zip(scans, between, strict=True)]


def _of_scan(scan: PreparedScan) -> Measures:
    brain = scan.brain_mask
    inside = brain.voxels > 0
    edges = brain.voxel_sizes_mm
    found: Measures = {
        "brain_volume_mm3": float(inside.sum()) * brain.voxel_volume_mm3,
        "brain_at_edge_mm2": brain_at_edge_mm2(inside, voxel_sizes_mm=edges),
        "voxel_anisotropy": max(edges) / min(edges),
    }
    for name, sequence in scan.sequences.items():
        measured = _of_sequence(sequence, brain, fluid_is_dark=name not in _BRIGHT_FLUID)
        if name in _FLUID_LIKE_TISSUE:
            measured |= dict.fromkeys(_OF_FLUID, float("nan"))
        found |= {f"{name.lower()}_{measure}": value for measure, value in measured.items()}
    return found


def _of_sequence(sequence: PreparedSequence, brain: Image, *, fluid_is_dark: bool) -> Measures:
    image = sequence.image
    inside = _on_grid(brain, image.shape, image.affine, sequence.to_flair)
    # Everything but the slices and the air is looked at within the brain's box.
    box = tuple(_extent(inside, axis) for axis in range(3))
    voxels, mask = image.voxels[box], inside[box]
    values = voxels[mask]
    noise = noise_standard_deviation(voxels, mask, plane=slice_plane(image.voxel_sizes_mm))
    sampled = at_most(values)
    median = float(np.median(sampled)) if sampled.size else float("nan")
    fluid, grey_white = contrast_to_noise(sampled, noise=noise, fluid_is_dark=fluid_is_dark)
    return {
        "signal_to_noise": median / noise if noise > 0 else float("nan"),
        "fluid_contrast_to_noise": fluid,
        "grey_white_contrast_to_noise": grey_white,
        "bias_field_range_percent": _bias_field_range_percent(sequence, brain),
        "ringing_percent": ringing_percent(voxels, mask),
        "ghosting_percent": ghosting_percent(
            image.voxels, inside, voxel_sizes_mm=image.voxel_sizes_mm
        ),
        "missing_slices": float(
            missing_slices(image.voxels, inside, voxel_sizes_mm=image.voxel_sizes_mm)
        ),
    }


def _bias_field_range_percent(sequence: PreparedSequence, brain: Image) -> float:
    """How much brighter N4's field makes the brightest part of the brain than the darkest."""
    field = sequence.log_bias_field
    if field is None:
        return float("nan")
    inside = _on_grid(brain, field.shape, field.affine, sequence.to_flair)
    if not inside.any():
        return float("nan")
    low, high = np.percentile(field.voxels[inside], _FIELD_PERCENTILES)
    return 100.0 * float(np.expm1(high - low))


def _between_sessions(
    scans: Sequence[PreparedScan], *, intensity: IntensitySettings
) -> list[Measures]:
    """Medians over the other sessions, so that one bad session does not mark the good ones."""
    if len(scans) < 2:
        return [
            {
                "brain_overlap_dice": float("nan"),
                "alignment_residual_z": float("nan"),
                "alignment_inconsistency_mm": scan.alignment_inconsistency_mm,
            }
            for scan in scans
        ]
    shape, affine = participant_grid(scans, spacing_mm=_GRID_MM)
    brains, images = [], []
    for scan in scans:
        flair, brain = flair_and_brain(scan, shape=shape, affine=affine)
        brains.append(brain)
        images.append(normalise_intensities(flair, brain, settings=intensity))
    overlaps = np.full((len(scans), len(scans)), np.nan)
    residuals = overlaps.copy()
    for i in range(len(scans)):
        for j in range(i):
            overlaps[i, j] = overlaps[j, i] = dice(brains[i], brains[j])
            shared = brains[i] & brains[j]
            residuals[i, j] = residuals[j, i] = residual_z(images[i], images[j], shared)
    return [
        {
            "brain_overlap_dice": _median_of_others(overlaps[index]),
            "alignment_residual_z": _median_of_others(residuals[index]),
            "alignment_inconsistency_mm": scan.alignment_inconsistency_mm,
        }
        for index, scan in enumerate(scans)
    ]


def _median_of_others(row: NDArray[np.float64]) -> float:
    known = row[np.isfinite(row)]
    return float(np.median(known)) if known.size else float("nan")


def _on_grid(
    brain: Image, shape: tuple[int, int, int], affine: Affine, to_flair: Affine
) -> NDArray[np.bool_]:
    mask = resample(
        brain, shape=shape, affine=affine, image_from_target=to_flair, interpolation="nearest"
    )
    return np.asarray(mask.voxels > 0)


def _extent(inside: NDArray[np.bool_], axis: int) -> slice:
    filled = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
    return slice(int(filled[0]), int(filled[-1]) + 1) if filled.size else slice(0, 0)
