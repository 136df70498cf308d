"""Ripples inside the brain, as motion and truncation leave them. Formulas only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.quality.samples import at_most

_SEGMENT = 32
"""Voxels of a line piece whose spectrum is taken."""

_FEWEST_SEGMENTS = 100
_MOST_SEGMENTS = 4_000
_SHOULDER = 3
"""A ripple fills three bins of the spectrum; so many bins beside it the spectrum is undisturbed."""


def ringing_percent(voxels: NDArray[np.float32], brain: NDArray[np.bool_]) -> float:
    """Amplitude of the strongest ripple along an axis, in percent of the brain's median.

    Lines of the image are cut into pieces of 32 voxels that lie inside the brain; their power
    spectra (Hann window, mean and slope removed; Welch 1967, doi 10.1109/TAU.1967.1161901) are
    averaged over all pieces of an axis. Anatomy and noise give a spectrum that falls; a ripple of
    period 2.5 to 8 voxels stands above the higher of its two shoulders. What stands above is
    given as the amplitude of a sine. Lower is better; a ripple whose period falls
    between two bins is underestimated by up to 15%.

    Returns
    -------
    The largest of the three axes; NaN where the brain is too small for any piece.
    """
    median = float(np.median(at_most(voxels[brain]))) if brain.any() else 0.0
    found = [_amplitude(voxels, brain, axis) for axis in range(3)]
    measured = [value for value in found if np.isfinite(value)]
    if not measured or not median > 0:
        return float("nan")
    return 100.0 * max(measured) / median


def _amplitude(voxels: NDArray[np.float32], brain: NDArray[np.bool_], axis: int) -> float:
    lines, inside = np.moveaxis(voxels, axis, 0), np.moveaxis(brain, axis, 0)
    pieces = []
    for start in range(0, lines.shape[0] - _SEGMENT + 1, _SEGMENT // 2):
        wanted = inside[start : start + _SEGMENT].all(axis=0)
        pieces.append(lines[start : start + _SEGMENT][:, wanted])
    values = np.concatenate(pieces, axis=1) if pieces else np.empty((_SEGMENT, 0))
    if values.shape[1] < _FEWEST_SEGMENTS:
        return float("nan")
    values = at_most(values, _MOST_SEGMENTS).astype(np.float64)
    position = np.arange(_SEGMENT) - (_SEGMENT - 1) / 2
    values -= values.mean(axis=0)
    values -= position[:, None] * (position @ values) / (position @ position)
    window = np.hanning(_SEGMENT + 1)[:-1]
    power = (np.abs(np.fft.rfft(values * window[:, None], axis=0)) ** 2).mean(axis=1)
    bins = np.arange(_SHOULDER + 1, _SEGMENT // 2 - _SHOULDER + 1)
    shoulder = np.maximum(power[bins - _SHOULDER], power[bins + _SHOULDER])
    excess = float(np.maximum(power[bins] - shoulder, 0.0).max())
    return 2.0 * float(np.sqrt(excess)) / float(window.sum())
