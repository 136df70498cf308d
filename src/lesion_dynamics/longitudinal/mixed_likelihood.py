"""Restricted likelihood of a linear mixed model, from sums over each participant.

    y_i = X_i beta + Z_i u_i + e_i,   u_i ~ N(0, sigma^2 L L'),   e_i ~ N(0, sigma^2 I)

with L lower triangular, given by theta. A participant enters through Z'Z, Z'[X y] and
[X y]'[X y] alone, so a bootstrap over participants weighs sums and never builds a table again.

Source: Bates, Maechler, Bolker and Walker, J Stat Softw 2015;67(1), eq. 39-42 (lme4's profiled
REML criterion, and its theta).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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
        """Random effects a participant: 1 or 2."""
        return int(self.zz.shape[1])

    @property
    def fixed(self) -> int:
        """Fixed effects."""
        return int(self.xyxy.shape[1]) - 1

    @cached_property
    def products(self) -> Floats:
        """(q (q + 1) / 2, m, (p + 1)^2) what each element of a symmetric (q, q) M adds to zxy'M zxy.

        The criterion is asked for hundreds of times with another M for everyone: with these it
        is a product of a matrix and a vector.
        """
        found = []
        for i in range(self.random):
            for j in range(i + 1):
                both: Floats = self.zxy[:, i, :, None] * self.zxy[:, j, None, :]
                full = both if i == j else both + np.swapaxes(both, 1, 2)
                found.append(full.reshape(len(full), -1))
        return np.stack(found)


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
    p = sums.fixed
    middle, determinants = _middle(theta, sums)
    if weights is None:
        scans, total, log_v = sums.scans.sum(), sums.xyxy.sum(axis=0), float(determinants.sum())
    else:
        scans, log_v = float(weights @ sums.scans), float(weights @ determinants)
        total = np.tensordot(weights, sums.xyxy, axes=1)
        middle = middle * weights
    explained = sum(row @ own for row, own in zip(middle, sums.products, strict=True))
    whitened = total - np.asarray(explained).reshape(p + 1, p + 1)
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


def _middle(theta: Floats, sums: ParticipantSums) -> tuple[Floats, Floats]:
    """Lower triangle of L (I + L'Z'Z L)^-1 L' of each participant, and log |I + L'Z'Z L|.

    (q (q + 1) / 2, m) by rows, and (m,). Written out: a stack of 2 x 2 inverses from LAPACK takes
    ten times as long.
    """
    zz = sums.zz
    if sums.random == 1:
        inner = 1 + theta[0] ** 2 * zz[:, 0, 0]
        return (theta[0] ** 2 / inner)[None], np.log(inner)
    # Multiplied out by hand: what cancels in exact arithmetic would cost digits here.
    a, b, c = theta
    first, mixed, second = zz[:, 0, 0], zz[:, 0, 1], zz[:, 1, 1]
    outer = first * second - mixed**2
    determinant = (
        1 + a * a * first + 2 * a * b * mixed + (b * b + c * c) * second + (a * c) ** 2 * outer
    )
    middle = np.stack(
        [
            a * a * (1 + c * c * second),
            a * (b - a * c * c * mixed),
            b * b + c * c + (a * c) ** 2 * first,
        ]
    )
    return middle / determinant, np.log(determinant)
