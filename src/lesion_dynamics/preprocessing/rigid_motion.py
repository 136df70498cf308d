"""Rigid motions as points of a Lie group: their mean, and the positions that explain pairs.

A motion is a (4, 4) matrix, world to world in mm; its logarithm is a vector of six (rotation
vector in radians, then translation part in mm). Formulas only.

Reuter et al. 2012, doi 10.1016/j.neuroimage.2012.02.084 (the halfway space); Pennec and Arsigny
2013, doi 10.1007/978-1-4471-5191-3_8 (the exponential barycentre, which, unlike the mean of
logarithms, turns and shifts with the motions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import RigidTransform, Rotation

from lesion_dynamics.imaging.geometry import Affine

_LARGEST_STEPS = 50
_CONVERGED = 1e-12
_HEAD_RADIUS_MM = 80.0


def nearest_rigid(matrix: Affine) -> Affine:
    """The rigid motion nearest to a (4, 4) matrix that is nearly one."""
    rigid = np.eye(4)
    rigid[:3, :3] = Rotation.from_matrix(matrix[:3, :3]).as_matrix()
    rigid[:3, 3] = matrix[:3, 3]
    return rigid


def inverse(motion: Affine) -> Affine:
    """The motion back."""
    return np.asarray(np.linalg.inv(motion), dtype=np.float64)


def typical_displacement_mm(
    motion: Affine, *, centre: NDArray[np.float64], radius_mm: float = _HEAD_RADIUS_MM
) -> float:
    """How far ``motion`` moves the points of a ball about ``centre``: root mean square, in mm.

    ``sqrt(R^2/5 trace(A^T A) + |t|^2)`` with A the linear part less the identity and t the
    centre's displacement. Jenkinson 1999, FMRIB technical report TR99MJ1.
    """
    linear = motion[:3, :3] - np.eye(3)
    moved = linear @ centre + motion[:3, 3]
    return float(np.sqrt(radius_mm**2 / 5.0 * np.trace(linear.T @ linear) + moved @ moved))


def mean_motion(motions: Sequence[Affine]) -> Affine:
    """The exponential barycentre M of rigid motions: ``sum_i log(M^-1 M_i) = 0``.

    It does not depend on their order, and the mean of ``A M_i B`` is ``A M B``.
    """
    mean: Affine = np.array(motions[0], dtype=np.float64)
    for _ in range(_LARGEST_STEPS):
        back = inverse(mean)
        step = np.mean([_logarithm(back @ motion) for motion in motions], axis=0)
        mean = nearest_rigid(mean @ _exponential(step))
        if np.abs(step).max() < _CONVERGED:
            break
    return mean


def positions(pairs: Mapping[tuple[int, int], Affine], count: int) -> list[Affine]:
    """Where ``count`` spaces lie relative to their common middle, from motions between pairs.

    Least squares in the Lie algebra: the positions X minimise the sum over pairs of
    ``|log(X_j T_ij X_i^-1)|^2``, and their mean is the identity. With one pair, X_0 is the
    square root of T_01 and X_1 its inverse: halfway.

    Parameters
    ----------
    pairs : (i, j) to T_ij, world of i to world of j; together they connect all spaces. A single
        space needs none.

    Returns
    -------
    One (4, 4) a space: its world to the common middle.
    """
    found = _along_pairs(pairs, count)
    if not pairs:
        return found
    incidence = np.zeros((len(pairs), count))
    for row, (i, j) in enumerate(pairs):
        incidence[row, i], incidence[row, j] = 1.0, -1.0
    solve = np.linalg.pinv(incidence)
    for _ in range(_LARGEST_STEPS):
        residuals = np.array(
            [_logarithm(found[j] @ motion @ inverse(found[i])) for (i, j), motion in pairs.items()]
        )
        steps = solve @ residuals
        found = [
            nearest_rigid(_exponential(step) @ position)
            for step, position in zip(steps, found, strict=True)
        ]
        if np.abs(steps).max() < _CONVERGED:
            break
    to_middle = inverse(mean_motion(found))
    return [to_middle @ position for position in found]


def _along_pairs(pairs: Mapping[tuple[int, int], Affine], count: int) -> list[Affine]:
    """First positions: each space brought onto space 0 along some pairs."""
    known: dict[int, Affine] = {0: np.eye(4)}
    while len(known) < count:
        before = len(known)
        for (i, j), motion in pairs.items():
            if i in known and j not in known:
                known[j] = known[i] @ inverse(motion)
            elif j in known and i not in known:
                known[i] = known[j] @ motion
        assert len(known) > before, "the pairs do not connect all spaces"
    return [known[index] for index in range(count)]


def _logarithm(motion: Affine) -> NDArray[np.float64]:
    rigid = RigidTransform.from_matrix(nearest_rigid(motion))
    return np.asarray(rigid.as_exp_coords(), dtype=np.float64)


def _exponential(vector: NDArray[np.float64]) -> Affine:
    return np.asarray(RigidTransform.from_exp_coords(vector).as_matrix(), dtype=np.float64)
