"""A voxel-wise comparison of lesion maps between two groups. Arrays only.

At every voxel a linear model explains lesion (0 or 1) by group and covariates. The largest
absolute t over all voxels, under exchanges of the residuals of the group variable between
participants, gives p-values that hold for the whole family of voxels (Freedman and Lane 1983;
Winkler et al. 2014, doi 10.1016/j.neuroimage.2014.01.060), as nilearn's ``permuted_ols`` does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BLUR = 1e-5
"""Noise on every value. Where a lesion and the group are the same thing the residuals vanish, and
t would be lost; so it is only very large. Other t change by about 1e-5 of themselves."""


@dataclass(frozen=True, slots=True)
class MapContrast:
    """t : (voxels,), positive where the first group has more. p_fwe : two-sided, corrected."""

    t: Floats
    p_fwe: Floats


def contrast_maps(
    lesions: NDArray[Any],
    *,
    in_first_group: NDArray[np.bool_],
    covariates: Floats,
    permutations: int,
    seed: int,
) -> MapContrast:
    """Compare two groups of participants voxel by voxel.

    Parameters
    ----------
    lesions : (participants, voxels) of 0 and 1; every voxel varies.
    covariates : (participants, k), k may be 0; a constant one changes nothing and is left out.

    Raises
    ------
    ValueError : fewer participants than the model needs, or one group only.
    """
    from nilearn.mass_univariate import permuted_ols  # slow to import

    if in_first_group.all() or not in_first_group.any():
        raise ValueError("two groups are compared, and one is empty")
    varying = covariates[:, np.ptp(covariates, axis=0) > 0] if covariates.size else covariates
    varying = varying.reshape(len(lesions), -1)
    if len(lesions) < varying.shape[1] + 4:
        raise ValueError("too few participants for this model")
    blurred = lesions + _BLUR * np.random.default_rng(seed).standard_normal(lesions.shape)
    found = permuted_ols(
        in_first_group.astype(np.float64)[:, None],
        blurred,
        confounding_vars=varying if varying.shape[1] else None,
        model_intercept=True,
        n_perm=permutations,
        two_sided_test=True,
        random_state=seed,
        n_jobs=1,
        output_type="dict",
    )
    return MapContrast(
        t=np.asarray(found["t"][0], dtype=np.float64),
        p_fwe=np.asarray(10.0 ** -found["logp_max_t"][0], dtype=np.float64),
    )
