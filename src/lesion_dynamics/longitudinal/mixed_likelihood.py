"""Restricted likelihood of a linear mixed model, from sums over each participant.

    y_i = X_i beta + Z_i u_i + e_i,   u_i ~ N(0, sigma^2 L L'),   e_i ~ N(0, sigma^2 I)

with L lower triangular, given by theta. A participant enters through Z'Z, Z'[X y] and
[X y]'[X y] alone, so a bootstrap over participants weighs sums and never builds a table again.

Source: Bates, Maechler, Bolker and Walker, J Stat Softw 2015;67(1), eq. 39-42 (lme4's profiled
REML criterion, and its theta).
"""

from __future__ import annotations

from collections.abc import Iterator
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
    def moments(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Of two random effects: the elements of Z'Z and its determinant, (m,) each."""
        first, mixed, second = self.zz[:, 0, 0], self.zz[:, 0, 1], self.zz[:, 1, 1]
        return first.copy(), mixed.copy(), second.copy(), first * second - mixed**2

    @cached_property
    def products(self) -> Floats:
        """(q (q + 1) / 2, m, (p + 1)^2) what each element of M adds to zxy'M zxy.

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
    numerators, determinants = _parts(theta, sums)
    middle, logs = numerators / determinants, np.log(determinants)
    if weights is None:
        scans, total, log_v = sums.scans.sum(), sums.xyxy.sum(axis=0), float(logs.sum())
    else:
        scans, log_v = float(weights @ sums.scans), float(weights @ logs)
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


def _parts(theta: Floats, sums: ParticipantSums) -> tuple[Floats, Floats]:
    """Numerators (k, m) and determinants (m,) of M = L (I + L'Z'Z L)^-1 L' of each participant.

    The k = q (q + 1) / 2 numerators are the lower triangle by rows. Multiplied out by hand: a
    stack of inverses from LAPACK takes ten times as long, and what cancels in exact arithmetic
    would cost digits.
    """
    if sums.random == 1:
        square = theta[0] ** 2
        return np.full((1, sums.scans.size), square), 1 + square * sums.zz[:, 0, 0]
    a, b, c = theta
    first, mixed, second, outer = sums.moments
    determinant = (
        1 + a * a * first + 2 * a * b * mixed + (b * b + c * c) * second + (a * c) ** 2 * outer
    )
    return np.stack(
        [
            a * a * (1 + c * c * second),
            a * (b - a * c * c * mixed),
            b * b + c * c + (a * c) ** 2 * first,
        ]
    ), determinant


def _part_gradients(theta: Floats, sums: ParticipantSums) -> Iterator[tuple[Floats, Floats]]:
    """Derivatives of both `_parts` by each element of theta."""
    if sums.random == 1:
        twice = 2 * theta[0]
        yield np.full((1, sums.scans.size), twice), twice * sums.zz[:, 0, 0]
        return
    a, b, c = theta
    first, mixed, second, outer = sums.moments
    one = np.ones_like(first)
    yield (
        2 * np.stack([a * (1 + c * c * second), b / 2 - a * c * c * mixed, a * c * c * first]),
        2 * (a * first + b * mixed + a * c * c * outer),
    )
    yield np.stack([0 * one, a * one, 2 * b * one]), 2 * (a * mixed + b * second)
    yield (
        2 * c * np.stack([a * a * second, -a * a * mixed, 1 + a * a * first]),
        2 * c * (second + a * a * outer),
    )


def gradient(
    theta: Floats, sums: ParticipantSums, solution: Solution, weights: Floats | None = None
) -> Floats:
    """(q (q + 1) / 2,) derivatives of the criterion at ``theta``, where ``solution`` is.

    Exact: differences of a criterion in the millions are rounding. With W = [X y]'V^-1 [X y] and
    v = (beta, -1) the residual is v'Wv, and its derivative v'dW v.
    """
    p = sums.fixed
    direction = np.append(solution.beta, -1.0)
    by_whitened = solution.degrees / solution.residual * np.outer(direction, direction)
    by_whitened[:p, :p] += solution.unscaled
    by_middle = -(sums.products @ by_whitened.ravel())
    numerators, determinants = _parts(theta, sums)
    middle = numerators / determinants
    found = []
    for numerator, determinant in _part_gradients(theta, sums):
        each = determinant + (by_middle * (numerator - middle * determinant)).sum(axis=0)
        each = each / determinants
        found.append(each.sum() if weights is None else weights @ each)
    return np.array(found)
