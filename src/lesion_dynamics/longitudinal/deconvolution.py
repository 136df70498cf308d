"""True annualised changes that could lie behind the measured ones: empirical-Bayes deconvolution.

A diagnosis' true changes are taken to be unimodal: most participants near a common change, fewer
the further away, on either side as steep as the data say (half-normals of several widths). The
distance from it is counted in units of the participant's lesion load, because who has more lesions
can gain and lose more. That distribution is fitted to the measured changes, each with its own known
noise; each participant's true change is then drawn from what the distribution and the own
measurement leave possible. A statistic of the drawn cohort, averaged over draws, is the statistic
without the noise.

Sources: Stephens, Biostatistics 2017;18:275-294 (unimodal prior, a mixture fitted by EM); Efron,
Biometrika 2016;103:1-20 (deconvolution); Rubin, Multiple Imputation for Nonresponse in Surveys,
1987 (averages over drawn data).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MODES = 9
"""Trial values of the common change, between these quantiles of the measured changes; each
counts as much as it makes the data likely."""
_MODE_QUANTILES = 0.15, 0.85
_GRID, _BEND = 121, 6.0
"""Points of the distribution, and how much closer they lie near its mode."""
_WIDTHS, _WIDEST = 14, 0.8
_ITERATIONS = 80
SMALLEST_LOAD = 0.25
"""Of the diagnosis' median load: below it a participant counts as having that much."""
_SMALLEST_NOISE, _OF_SPREAD = 0.05, 0.02
"""Of the median noise, and of the spread of the changes: a change measured better than that is
taken as it is."""
_SHARPEST = 0.6
"""Of the typical noise: the narrowest side that the distribution may have."""
_VALUES_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Measured:
    """Cohorts of one diagnosis: (cohorts, n) each.

    changes : calibrated annualised changes, mm3/year. noise : standard deviation of each.
    load : mean lesion volume of the participant, mm3.
    """

    changes: Floats
    noise: Floats
    load: Floats

    def of(self, rows: NDArray[np.int64]) -> Measured:
        """Cohorts (draws, n) of the participants of a single one."""
        return Measured(self.changes[0][rows], self.noise[0][rows], self.load[0][rows])

    def part(self, begin: int, end: int) -> Measured:
        """Some of the cohorts."""
        return Measured(self.changes[begin:end], self.noise[begin:end], self.load[begin:end])


def true_changes(measured: Measured, *, draws: int, rng: np.random.Generator) -> Floats:
    """(cohorts, draws, n) true changes, mm3/year.

    Edge cases: without noise the measured changes themselves; so too a participant whose noise
    is below a twentieth of the median, or a fiftieth of the spread of the changes.
    """
    cohorts, n = measured.changes.shape
    if n == 0 or not measured.noise.any():
        return np.repeat(measured.changes[:, None, :], draws, axis=1)
    step = max(1, _VALUES_AT_ONCE // (MODES * n * _GRID))
    parts = [_drawn(measured.part(at, at + step), draws, rng) for at in range(0, cohorts, step)]
    return np.concatenate(parts)


@lru_cache(maxsize=1)
def _shapes() -> tuple[Floats, Floats, Floats]:
    """Grid from -1 to 1; (shapes, grid) masses of uniforms on either side of 0; their widths."""
    grid = np.sinh(_BEND * np.linspace(-1, 1, _GRID)) / np.sinh(_BEND)
    mass, middle = np.gradient(grid), _GRID // 2
    widths = np.geomspace(grid[middle + 2], _WIDEST, _WIDTHS)
    shapes = []
    for inside in (grid >= 0, grid <= 0):
        for width in widths:
            own = np.where(inside, mass * np.exp(-0.5 * (grid / width) ** 2), 0.0)
            own[middle] /= 2
            shapes.append(own / own.sum())
    return grid, np.array(shapes), np.tile(widths, 2)


def _scale(load: Floats) -> Floats:
    """(cohorts, n) unit of each participant's distance from the mode; its geometric mean is 1."""
    middle = np.median(np.maximum(load, 0), axis=1, keepdims=True)
    kept = np.maximum(load, SMALLEST_LOAD * middle)
    kept = np.where(kept > 0, kept, 1.0)
    return np.asarray(kept / np.exp(np.log(kept).mean(axis=1, keepdims=True)))


def _drawn(measured: Measured, draws: int, rng: np.random.Generator) -> Floats:
    changes, scale = measured.changes, _scale(measured.load)
    least = _SMALLEST_NOISE * np.median(measured.noise, axis=1), _OF_SPREAD * changes.std(axis=1)
    exact = measured.noise <= np.maximum(*least)[:, None]
    modes = np.quantile(changes, np.linspace(*_MODE_QUANTILES, MODES), axis=1).T
    values, chances, likelihood = _fitted(changes, measured.noise, scale, modes)
    weight = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    chosen = (weight / weight.sum(axis=1, keepdims=True)).cumsum(axis=1)
    cohorts, n = changes.shape
    picks = (rng.random((cohorts, draws, 1)) > chosen[:, None, :]).sum(axis=-1)
    picks = np.minimum(picks, MODES - 1)
    at = np.arange(cohorts)[:, None]
    found = np.empty((cohorts, draws, n))
    step = max(1, _VALUES_AT_ONCE // (cohorts * n * _GRID))
    for begin in range(0, draws, step):
        own = picks[:, begin : begin + step]
        found[:, begin : begin + step] = _from_grid(values[at, own], chances[at, own], rng)
    return np.where(exact[:, None, :], changes[:, None, :], found)


def _fitted(
    changes: Floats, noise: Floats, scale: Floats, modes: Floats
) -> tuple[Floats, Floats, Floats]:
    """By mode: true values (cohorts, modes, n, grid), their cumulated chances, log likelihood."""
    grid, shapes, widths = _shapes()
    away = changes[:, None, :] - modes[:, :, None]
    reach = 1.1 * np.abs(away / scale[:, None, :]).max(axis=(1, 2))
    reach = np.where(reach > 0, reach, 1.0)
    steps = scale[:, None, :] * reach[:, None, None]
    # Between two points of the grid a sharper measurement would fall through.
    gap = 2 * _BEND / (_GRID - 1) * np.hypot(away, steps / np.sinh(_BEND))
    own_noise = np.maximum(noise[:, None, :], gap / 2)
    values = modes[:, :, None, None] + steps[..., None] * grid
    density = np.exp(-0.5 * ((changes[:, None, :, None] - values) / own_noise[..., None]) ** 2)
    by_shape = density @ shapes.T + 1e-300
    n = changes.shape[1]
    # Nothing sharper than the noise can be told from it; left in, it would be fitted to chance.
    typical = np.median(noise / scale, axis=1)
    # The widest side always stays: changes may lie closer together than their noise.
    sharpest = np.minimum(_SHARPEST * typical / reach, _WIDEST * (1 - 1e-9))
    usable = widths >= sharpest[:, None]
    shares = np.repeat((usable / usable.sum(axis=1, keepdims=True))[:, None], MODES, axis=1)
    for _ in range(_ITERATIONS):
        total = (by_shape @ shares[..., None])[..., 0]
        shares = shares * (np.swapaxes(by_shape, 2, 3) @ (1 / total)[..., None])[..., 0] / n
    total = (by_shape @ shares[..., None])[..., 0]
    likelihood = (np.log(total) - np.log(own_noise)).sum(axis=-1)
    posterior = density * (shares @ shapes)[:, :, None, :]
    cumulated = posterior.cumsum(axis=-1)
    return values, cumulated / np.maximum(cumulated[..., -1:], 1e-300), likelihood


def _from_grid(values: Floats, cumulated: Floats, rng: np.random.Generator) -> Floats:
    """One value of each distribution (..., grid), spread over the half ways to its neighbours."""
    size = values.shape[:-1]
    place = (rng.random((*size, 1)) > cumulated).sum(axis=-1)
    place = np.minimum(place, values.shape[-1] - 1)

    def value(at: NDArray[np.int64]) -> Floats:
        found = np.take_along_axis(values, at[..., None], axis=-1)[..., 0]
        return np.asarray(found, dtype=np.float64)

    low, high = value(np.maximum(place - 1, 0)), value(np.minimum(place + 1, _GRID - 1))
    return np.asarray(value(place) + (rng.random(size) - 0.5) * (high - low) / 2)
