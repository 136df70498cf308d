"""Agreement of a predicted lesion mask with a reference mask, voxel by voxel and lesion by lesion.

A reference lesion is *detected* when at least 10% of its volume is covered by the prediction;
a predicted lesion is *true* when at least 10% of its volume lies in the reference. That is the
first condition, with its alpha of 10%, of the MSSEG challenge (Commowick et al., Sci Rep
2018;8:13650, doi 10.1038/s41598-018-31911-7); its further conditions on what lies outside are
left out. "Any overlap" would call a lesion of 10 ml found for one voxel of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.lesions.box import box_around
from lesion_dynamics.lesions.operating_point import label_lesions, without_small_lesions
from lesion_dynamics.lesions.surface_distance import hd95_mm
from lesion_dynamics.settings.operating_point import Connectivity

OVERLAP_FRACTION = 0.1
"""Least part of a lesion's volume that the other mask must cover."""

SIZE_BIN_EDGES_MM3 = (14.0, 100.0, 1000.0)
"""Edges of the size bins of reference lesions. 14 mm3: a sphere of 3 mm diameter."""

SIZE_BINS = ("under_14_mm3", "14_to_100_mm3", "100_to_1000_mm3", "1000_mm3_and_more")

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement on one scan. None means undefined, never 0 and never left out in silence.

    dice : 2|R and P| / (|R| + |P|), 0 to 1, higher is better (Dice, Ecology 1945;26:297).
        Reference empty: 0 with any prediction. Prediction empty: 0. Both empty: None.
    lesion_sensitivity : detected reference lesions / reference lesions. Reference empty: None.
        Prediction empty: 0.
    lesion_precision : true predicted lesions / predicted lesions. Reference empty: 0.
        Prediction empty: None.
    lesion_f1 : harmonic mean of sensitivity and precision. Only one of the masks empty: 0.
        Both empty: None.
    hd95_mm : see `surface_distance`. One or both empty: None.
    reference_volume_mm3, predicted_volume_mm3 : volumes. Empty: 0.
    volume_difference_mm3 : predicted minus reference; always defined.
    false_positive_volume_mm3 : predicted volume outside the reference; always defined. On a
        lesion-free scan this is the whole prediction, and the measure that punishes it.
    reference_lesion_count, predicted_lesion_count, detected_lesion_count,
    true_predicted_lesion_count : the numbers behind the ratios.
    reference_lesions_by_size, detected_lesions_by_size : by `SIZE_BINS` of the reference lesion.
    predicted_lesions_by_size, true_predicted_lesions_by_size : by those of the predicted lesion.
    surface_distance_asked : whether ``hd95_mm`` was computed at all.
    """

    dice: float | None
    lesion_sensitivity: float | None
    lesion_precision: float | None
    lesion_f1: float | None
    hd95_mm: float | None
    reference_volume_mm3: float
    predicted_volume_mm3: float
    volume_difference_mm3: float
    false_positive_volume_mm3: float
    reference_lesion_count: int
    predicted_lesion_count: int
    detected_lesion_count: int
    true_predicted_lesion_count: int
    reference_lesions_by_size: tuple[int, ...]
    detected_lesions_by_size: tuple[int, ...]
    predicted_lesions_by_size: tuple[int, ...]
    true_predicted_lesions_by_size: tuple[int, ...]
    surface_distance_asked: bool


def agreement(
    reference: NDArray[Any],
    predicted: NDArray[Any],
    *,
    voxel_volume_mm3: float,
    connectivity: Connectivity,
    minimum_lesion_volume_mm3: float,
    affine: Affine | None = None,
) -> Agreement:
    """Compare two masks on one grid.

    Parameters
    ----------
    reference, predicted : (x, y, z), nonzero = lesion.
    minimum_lesion_volume_mm3 : smaller lesions are dropped from both masks alike, before
        everything else, so that neither side is measured with a finer sieve.
    affine : (4, 4), asks for the surface distance as well.

    Raises
    ------
    ValueError : the shapes differ.
    """
    if reference.shape != predicted.shape:
        raise ValueError(f"shapes differ: {reference.shape} and {predicted.shape}")
    # Lesions are a small part of a head: everything below sees the box that holds them.
    box = box_around((reference != 0) | (predicted != 0))
    first, second = (
        without_small_lesions(
            mask[box],
            voxel_volume_mm3=voxel_volume_mm3,
            minimum_lesion_volume_mm3=minimum_lesion_volume_mm3,
            connectivity=connectivity,
        ).astype(bool)
        for mask in (reference, predicted)
    )
    reference_sizes, detected = _covered_lesions(first, second, connectivity)
    predicted_sizes, true = _covered_lesions(second, first, connectivity)
    sensitivity = ratio(int(detected.sum()), len(detected))
    precision = ratio(int(true.sum()), len(true))
    in_bin, predicted_in_bin = (
        np.digitize(sizes * voxel_volume_mm3 * (1 + _ROUNDING), SIZE_BIN_EDGES_MM3)
        for sizes in (reference_sizes, predicted_sizes)
    )
    return Agreement(
        dice=ratio(2 * int((first & second).sum()), int(first.sum()) + int(second.sum())),
        lesion_sensitivity=sensitivity,
        lesion_precision=precision,
        lesion_f1=f1(sensitivity, precision),
        hd95_mm=None if affine is None else hd95_mm(first, second, affine=affine),
        reference_volume_mm3=float(reference_sizes.sum()) * voxel_volume_mm3,
        predicted_volume_mm3=float(predicted_sizes.sum()) * voxel_volume_mm3,
        volume_difference_mm3=float(predicted_sizes.sum() - reference_sizes.sum())
        * voxel_volume_mm3,
        false_positive_volume_mm3=float((second & ~first).sum()) * voxel_volume_mm3,
        reference_lesion_count=len(detected),
        predicted_lesion_count=len(true),
        detected_lesion_count=int(detected.sum()),
        true_predicted_lesion_count=int(true.sum()),
        reference_lesions_by_size=_counts(in_bin),
        detected_lesions_by_size=_counts(in_bin[detected]),
        predicted_lesions_by_size=_counts(predicted_in_bin),
        true_predicted_lesions_by_size=_counts(predicted_in_bin[true]),
        surface_distance_asked=affine is not None,
    )


def ratio(numerator: int, denominator: int) -> float | None:
    """Ratio of counts; None where there is nothing to count."""
    return numerator / denominator if denominator else None


def f1(sensitivity: float | None, precision: float | None) -> float | None:
    """Harmonic mean. Both None: None. One None (one mask empty), or both 0: 0."""
    if sensitivity is None and precision is None:
        return None
    if not sensitivity or not precision:
        return 0.0
    return 2 * sensitivity * precision / (sensitivity + precision)


def covered(
    covered_voxels: NDArray[np.int64], lesion_voxels: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether enough of each lesion is covered, from numbers of voxels."""
    enough: NDArray[np.bool_] = covered_voxels >= OVERLAP_FRACTION * lesion_voxels - _ROUNDING
    return enough


def summarise(agreements: list[Agreement]) -> dict[str, float | int]:
    """Means over scans, and how many scans each mean leaves out.

    For each of dice, lesion_sensitivity, lesion_precision, lesion_f1 (and hd95_mm where every
    scan was asked for it): ``mean_<metric>`` over the scans where it is defined, and
    ``<metric>_undefined_count``. A mean without any defined scan is left out: there is no
    number for it. Volumes: means over all scans, and of the difference also the absolute one.
    ``mean_false_positive_volume_lesion_free_mm3`` is over the scans with an empty reference.
    By size the lesions of all scans are pooled: ``lesion_sensitivity_<bin>`` beside
    ``lesion_count_<bin>`` (size of the reference lesion), ``lesion_precision_<bin>`` beside
    ``predicted_lesion_count_<bin>`` (size of the predicted one), ``lesion_f1_<bin>`` their
    harmonic mean. A ratio without a lesion to count is left out, and so is F1, unless the other
    ratio is 0: then it is 0.
    """
    summary: dict[str, float | int] = {"scan_count": len(agreements)}
    metrics = ["dice", "lesion_sensitivity", "lesion_precision", "lesion_f1"]
    if agreements and all(one.surface_distance_asked for one in agreements):
        metrics.append("hd95_mm")
    for metric in metrics:
        values = [getattr(one, metric) for one in agreements]
        _add_mean(summary, f"mean_{metric}", [v for v in values if v is not None])
        summary[f"{metric}_undefined_count"] = sum(value is None for value in values)
    for volume in ("reference_volume_mm3", "predicted_volume_mm3", "volume_difference_mm3",
                   "false_positive_volume_mm3"):  # fmt: skip
        _add_mean(summary, f"mean_{volume}", [getattr(one, volume) for one in agreements])
    differences = [abs(one.volume_difference_mm3) for one in agreements]
    _add_mean(summary, "mean_absolute_volume_difference_mm3", differences)
    lesion_free = [one for one in agreements if one.reference_lesion_count == 0]
    summary["lesion_free_scan_count"] = len(lesion_free)
    _add_mean(
        summary,
        "mean_false_positive_volume_lesion_free_mm3",
        [one.false_positive_volume_mm3 for one in lesion_free],
    )
    for index, name in enumerate(SIZE_BINS):
        _add_size_bin(summary, agreements, index, name)
    return summary


def _add_size_bin(
    summary: dict[str, float | int], agreements: list[Agreement], index: int, name: str
) -> None:
    lesions, detected, predicted, true = (
        sum(getattr(one, counts)[index] for one in agreements)
        for counts in ("reference_lesions_by_size", "detected_lesions_by_size",
                       "predicted_lesions_by_size", "true_predicted_lesions_by_size")
    )  # fmt: skip
    summary[f"lesion_count_{name}"] = lesions
    summary[f"predicted_lesion_count_{name}"] = predicted
    ratios: dict[str, float | None] = {
        "sensitivity": ratio(detected, lesions),
        "precision": ratio(true, predicted),
    }
    undefined = [one for one in ratios.values() if one is None]
    # Unlike on a scan, an empty side is no empty mask here: lesions of this size may all have been
    # found, and predicted as lesions of another size.
    if not undefined or not any(ratios.values()):
        ratios["f1"] = f1(ratios["sensitivity"], ratios["precision"])
    for kind, value in ratios.items():
        if value is not None:
            summary[f"lesion_{kind}_{name}"] = value


def _add_mean(summary: dict[str, float | int], name: str, values: list[float]) -> None:
    if values:
        summary[name] = float(np.mean(values))


def _covered_lesions(
    mask: NDArray[np.bool_], other: NDArray[np.bool_], connectivity: Connectivity
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Voxels of each lesion of ``mask``, and whether ``other`` covers enough of it."""
    labels, count = label_lesions(mask, connectivity=connectivity)
    voxels = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    overlap = np.bincount(labels[other], minlength=count + 1)[1:]
    return voxels, covered(overlap, voxels)


def _counts(in_bin: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(int(count) for count in np.bincount(in_bin, minlength=len(SIZE_BINS)))
