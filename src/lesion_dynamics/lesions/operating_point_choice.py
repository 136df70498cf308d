"""Choosing the operating point on validation scans, by a stated rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.errors import CohortError
from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.lesions.agreement import covered, f1, ratio
from lesion_dynamics.lesions.box import box_around
from lesion_dynamics.lesions.operating_point import label_lesions, large_enough
from lesion_dynamics.settings.operating_point import Connectivity, OperatingPoint

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 19))
"""Probability thresholds that are tried: 0.10, 0.15 ... 0.90."""

MINIMUM_LESION_VOLUMES_MM3 = (0.0, 3.0, 9.0, 14.0)
"""Minimum lesion volumes that are tried. 14 mm3 is a sphere of 3 mm diameter."""

FALSE_POSITIVE_VOLUME_OF_HALF_A_SCORE_MM3 = 150.0
"""A lesion-free scan with this predicted volume scores one half: a quarter of a typical
NMOSD lesion volume, and six years of its published annual increase."""

TIE_TOLERANCE = 0.002
"""Scores this close are tied, however few scans there are."""

MOST_BEHIND = 0.02
"""Scores further apart are not tied, however little the scans say. A scan that one candidate loses
altogether, all others being equal, is behind by exactly one standard error, of any number of
scans: the error alone would let the lesions of one participant go for the volumes of the rest."""


@dataclass(frozen=True)
class ValidationScan:
    """One validation scan in its brain box.

    probability : (x, y, z), 0 to 1.
    reference : (x, y, z), nonzero = lesion.
    brain_mask : (x, y, z), nonzero = brain; None: everything.
    affine : (4, 4) voxel indices to mm; None: distances are not asked for.
    """

    probability: NDArray[Any]
    reference: NDArray[Any]
    voxel_volume_mm3: float
    brain_mask: NDArray[Any] | None = None
    affine: Affine | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One operating point that was tried, and how it did. None: no such scan.

    score : mean over scans of (Dice + lesion F1) / 2 where the reference has lesions, and of
        1 / (1 + false positive volume / 150 mm3) where it has none.
    mean_dice, mean_lesion_f1 : over scans with reference lesions.
    mean_false_positive_volume_mm3 : over lesion-free scans.
    mean_volume_bias_mm3 : predicted minus reference, over all scans.
    score_behind_best : the best candidate's score less this one's.
    score_behind_best_standard_error : of that difference, over scans: `standard_error_of_mean`.
    """

    probability_threshold: float
    minimum_lesion_volume_mm3: float
    score: float
    score_behind_best: float
    score_behind_best_standard_error: float
    mean_dice: float | None
    mean_lesion_f1: float | None
    mean_false_positive_volume_mm3: float | None
    mean_volume_bias_mm3: float

    @property
    def as_good_as_best(self) -> bool:
        """Whether these scans cannot tell it from the best."""
        limit = max(TIE_TOLERANCE, self.score_behind_best_standard_error)
        return self.score_behind_best <= min(limit, MOST_BEHIND)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One operating point on one scan."""

    dice: float
    lesion_f1: float
    predicted_volume_mm3: float
    reference_volume_mm3: float

    @property
    def lesion_free(self) -> bool:
        return self.reference_volume_mm3 == 0

    @property
    def score(self) -> float:
        if self.lesion_free:
            return 1 / (1 + self.predicted_volume_mm3 / FALSE_POSITIVE_VOLUME_OF_HALF_A_SCORE_MM3)
        return (self.dice + self.lesion_f1) / 2


def choose_operating_point(
    scans: Sequence[ValidationScan], *, connectivity: Connectivity
) -> tuple[OperatingPoint, tuple[Candidate, ...]]:
    """Try `THRESHOLDS` x `MINIMUM_LESION_VOLUMES_MM3`; of the best, take the least volume bias.

    The best are the candidate with the highest `Candidate.score`, the first of several, and those
    behind it by at most one standard error of the paired difference, or by `TIE_TOLERANCE` where
    that is larger, but never by more than `MOST_BEHIND`: the rule of one standard error (Breiman
    et al. 1984, Classification and Regression Trees), whose error is here that of the difference
    on the same scans. The score of a few dozen scans is flat over a wide range of thresholds in
    which volumes change much: the highest alone would leave the volumes of a study to chance. A
    candidate that is better on some scans and worse on others is among the best sooner than one
    that is a little worse on all.

    The candidate's minimum volume is applied to the prediction alone: every candidate is held
    against the same, whole reference. Otherwise a larger minimum would make the task easier
    and always win. Lesions match as in :mod:`lesion_dynamics.lesions.agreement`.

    Of the best the smallest absolute mean volume bias is taken, then the higher score, the
    threshold nearer 0.5 and the smaller minimum volume.

    Returns
    -------
    The operating point, and all candidates, ordered by threshold and minimum volume.

    Raises
    ------
    CohortError : no scan has a reference lesion, so the rule has nothing to go by.
    """
    if not any((scan.reference != 0).any() for scan in scans):
        raise CohortError(
            f"none of the {len(scans)} validation scans has a reference lesion",
            where="validation participants",
            remedy="Choose another seed or validation fraction, or add participants with lesions.",
        )
    by_scan = [_outcomes(scan, connectivity) for scan in scans]
    tried = {point: [outcomes[point] for outcomes in by_scan] for point in by_scan[0]}
    scores = {point: [one.score for one in outcomes] for point, outcomes in tried.items()}
    best = scores[max(scores, key=lambda point: float(np.mean(scores[point])))]
    candidates = tuple(_candidate(point, outcomes, best=best) for point, outcomes in tried.items())
    chosen = min((one for one in candidates if one.as_good_as_best), key=_preference)
    point = OperatingPoint(
        probability_threshold=chosen.probability_threshold,
        minimum_lesion_volume_mm3=chosen.minimum_lesion_volume_mm3,
        connectivity=connectivity,
    )
    return point, candidates


def standard_error_of_mean(values: Sequence[float], strata: Sequence[bool]) -> float:
    """Standard error of a mean over scans of two kinds that were sampled each for itself.

    sqrt(sum of n_s * var_s) / n over strata s of n_s values: stratified sampling with
    proportional shares (Cochran 1977, Sampling Techniques, chapter 5). The scores of scans with
    and without lesions are not of one kind: the difference of their means would otherwise count
    as noise. A stratum of one value adds nothing, so that the error is too small: 0 for one scan.
    """
    every, kind = np.asarray(values), np.asarray(strata)
    parts = (every[kind == stratum] for stratum in (False, True))
    summed = sum(len(part) * float(part.var(ddof=1)) for part in parts if len(part) > 1)
    return math.sqrt(summed) / len(every)


def _preference(candidate: Candidate) -> tuple[float, ...]:
    return (
        abs(candidate.mean_volume_bias_mm3),
        -candidate.score,
        abs(candidate.probability_threshold - 0.5),
        candidate.minimum_lesion_volume_mm3,
    )


def _outcomes(
    scan: ValidationScan, connectivity: Connectivity
) -> dict[tuple[float, float], _Outcome]:
    """Every operating point on one scan; each threshold is labelled once."""
    probability, reference = _cropped(scan)
    reference_labels, reference_count = label_lesions(reference, connectivity=connectivity)
    reference_sizes = np.bincount(reference_labels.ravel(), minlength=reference_count + 1)
    outcomes: dict[tuple[float, float], _Outcome] = {}
    for threshold in THRESHOLDS:
        positive = probability >= threshold
        labels, count = label_lesions(positive, connectivity=connectivity)
        own, theirs = labels[positive], reference_labels[positive]
        sizes = np.bincount(own, minlength=count + 1)
        shared = np.bincount(own[theirs > 0], minlength=count + 1)
        for minimum in MINIMUM_LESION_VOLUMES_MM3:
            kept = large_enough(
                sizes,
                voxel_volume_mm3=scan.voxel_volume_mm3,
                minimum_lesion_volume_mm3=minimum,
            )
            kept[0] = False
            overlap = np.bincount(theirs[kept[own]], minlength=reference_count + 1)
            detected = covered(overlap, reference_sizes)[1:]
            true = covered(shared, sizes)[kept]
            predicted_voxels, reference_voxels = sizes[kept].sum(), reference_sizes[1:].sum()
            dice = ratio(2 * int(shared[kept].sum()), int(predicted_voxels + reference_voxels))
            sensitivity = ratio(int(detected.sum()), len(detected))
            outcomes[threshold, minimum] = _Outcome(
                dice=dice or 0.0,
                lesion_f1=f1(sensitivity, ratio(int(true.sum()), len(true))) or 0.0,
                predicted_volume_mm3=float(predicted_voxels) * scan.voxel_volume_mm3,
                reference_volume_mm3=float(reference_voxels) * scan.voxel_volume_mm3,
            )
    return outcomes


def _cropped(scan: ValidationScan) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Probability and reference in the box where either can be positive."""
    if scan.probability.shape != scan.reference.shape:
        raise ValueError(f"shapes differ: {scan.probability.shape} and {scan.reference.shape}")
    reference = scan.reference != 0
    box = box_around(reference | (scan.probability >= THRESHOLDS[0]))
    return scan.probability[box], reference[box]


def _candidate(
    point: tuple[float, float], outcomes: list[_Outcome], *, best: Sequence[float]
) -> Candidate:
    """One candidate; best : the scores of the best one, scan by scan."""
    behind = [theirs - one.score for theirs, one in zip(best, outcomes, strict=True)]
    with_lesions = [one for one in outcomes if not one.lesion_free]
    lesion_free = [one for one in outcomes if one.lesion_free]
    biases = [one.predicted_volume_mm3 - one.reference_volume_mm3 for one in outcomes]
    return Candidate(
        probability_threshold=point[0],
        minimum_lesion_volume_mm3=point[1],
        score=float(np.mean([one.score for one in outcomes])),
        score_behind_best=float(np.mean(behind)),
        score_behind_best_standard_error=standard_error_of_mean(
            behind, [one.lesion_free for one in outcomes]
        ),
        mean_dice=_mean([one.dice for one in with_lesions]),
        mean_lesion_f1=_mean([one.lesion_f1 for one in with_lesions]),
        mean_false_positive_volume_mm3=_mean([one.predicted_volume_mm3 for one in lesion_free]),
        mean_volume_bias_mm3=float(np.mean(biases)),
    )


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
