"""Restricted likelihood of a linear mixed model, from sums over each participant.

    y_i = X_i beta + Z_i u_i + e_i,   u_i ~ N(0, sigma^2 L L'),   e_i ~ N(0, sigma^2 I)

with L lower triangular, given by theta. A participant enters through Z'Z, Z'[X y] and
[X y]'[X y] alone, so a bootstrap over participants weighs sums and never builds a table again.

Source: Bates, Maechler, Bolker and Walker, J Stat Softw 2015;67(1), eq. 39-42 (lme4's profiled
REML criterion, and its theta).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ParticipantSums:
    """Sums over the scans of each of m participants; q random and p fixed effects.

    zz : (m, q, q) Z'Z. zxy : (m, q, p + 1) Z'[X y]. xyxy : (m, p + 1, p + 1) [X y]'[X y].
    scans : (m,) scans of each participant.
    """

    zz: Floats
    zxy: Floats
    xyxy: Floats
    scans: Floats

    @property
    def random(self) -> int:
        """Random effects a participant."""
        return int(self.zz.shape[1])

    @property
    def fixed(self) -> int:
        """Fixed effects."""
        return int(self.xyxy.shape[1]) - 1


def participant_sums(
    response: Floats, fixed: Floats, random: Floats, participant: NDArray[np.int64]
) -> ParticipantSums:
    """Sums of (n,) responses with (n, p) and (n, q) designs; ``participant`` is 0 ... m - 1."""
    order = np.argsort(participant, kind="stable")
    starts = np.flatnonzero(np.diff(participant[order], prepend=-1))
    xy = np.column_stack([fixed, response])[order]
    z = random[order]

    def summed(left: Floats, right: Floats) -> Floats:
        products: Floats = left[:, :, None] * right[:, None, :]
        return np.asarray(np.add.reduceat(products, starts, axis=0))

    scans = np.diff(np.append(starts, participant.size)).astype(np.float64)
    return ParticipantSums(zz=summed(z, z), zxy=summed(z, xy), xyxy=summed(xy, xy), scans=scans)


@dataclass(frozen=True)
class Solution:
    """What follows from theta: fixed effects and the criterion.

    deviance : profiled REML criterion (lme4's ``REMLcrit``). beta : (p,). unscaled : (p, p)
    covariance of beta over sigma^2. residual : weighted residual sum of squares.
    log_determinants : log |V| + log |X'V^-1 X|. degrees : scans minus fixed effects.
    """

    deviance: float
    beta: Floats
    unscaled: Floats
    residual: float
    log_determinants: float
    degrees: float

    @property
    def sigma(self) -> float:
        """Standard deviation of the residual."""
        return float(np.sqrt(self.residual / self.degrees))


def solve(theta: Floats, sums: ParticipantSums, weights: Floats | None = None) -> Solution:
    """The profiled criterion and the fixed effects at ``theta``.

    Parameters
    ----------
    theta : (q (q + 1) / 2,) lower triangle of L by rows.
    weights : (m,) times each participant was drawn; None: once.
    """
    q, p = sums.random, sums.fixed
    factor = np.zeros((q, q))
    factor[np.tril_indices(q)] = theta
    inner = np.eye(q) + factor.T @ sums.zz @ factor
    middle = factor @ np.linalg.inv(inner) @ factor.T
    reduced = middle @ sums.zxy
    determinants = np.log(np.linalg.det(inner))
    if weights is None:
        scans, total, log_v = sums.scans.sum(), sums.xyxy.sum(axis=0), float(determinants.sum())
    else:
        scans, log_v = float(weights @ sums.scans), float(weights @ determinants)
        total = np.tensordot(weights, sums.xyxy, axes=1)
        reduced = reduced * weights[:, None, None]
    columns = sums.zxy.reshape(-1, p + 1)
    whitened = total - columns.T @ reduced.reshape(-1, p + 1)
    unscaled = np.linalg.inv(whitened[:p, :p])
    beta = unscaled @ whitened[:p, p]
    residual = float(whitened[p, p] - whitened[:p, p] @ beta)
    log_x = float(np.linalg.slogdet(whitened[:p, :p])[1])
    degrees = float(scans - p)
    deviance = log_v + log_x + degrees * (1 + np.log(2 * np.pi * residual / degrees))
    return Solution(
        deviance=float(deviance),
        beta=beta,
        unscaled=unscaled,
        residual=residual,
        log_determinants=log_v + log_x,
        degrees=degrees,
    )
