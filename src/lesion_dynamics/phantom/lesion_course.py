"""From a participant's total volume per session to the volumes of single lesions.

Between sessions lesions appear, grow, shrink and vanish so that the total is met exactly.
Sizes are log-normal (mean of ln(mm3) 2.9, standard deviation 1.6: 30 public MS patients);
participants with much volume have larger lesions, not only more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.phantom.smooth_fields import Floats

Flags = NDArray[np.bool_]

_LN_MEAN, _LN_SD = 2.9, 1.6
_LN_MEAN_PER_LN_LOAD = 0.3
_TYPICAL_LOAD_MM3 = 5000.0
_SMALLEST_MM3, _LARGEST_MM3 = 7.0, 15_000.0
_ATTACK_LN_MEAN, _ATTACK_LN_SD = 4.6, 0.8
_NEW_SHARE_OF_GAIN = 0.4
_TURNOVER_SHARE = 0.025  # gained and lost again between two sessions, of the total
_LARGEST_LOSS_SHARE = 0.7
_ATTACK_RESOLUTION = 0.5  # of its volume an attack lesion can give back per interval
_CHANGED = 0.15  # relative change from which a lesion counts as growing or shrinking

KINDS = ("stable", "growing", "shrinking", "resolving", "new")


@dataclass(frozen=True)
class LesionCourse:
    """volumes_mm3 : (lesions, sessions), 0 where absent. kinds : of `KINDS`, per lesion."""

    volumes_mm3: Floats
    kinds: tuple[str, ...]


def draw_sizes(
    rng: np.random.Generator, total_mm3: float, *, ln_mean: float = _LN_MEAN, ln_sd: float = _LN_SD
) -> Floats:
    """Lesion volumes whose sum is ``total_mm3``; empty for 0."""
    sizes: list[float] = []
    while sum(sizes) < total_mm3:
        drawn = math.exp(ln_mean + ln_sd * float(rng.standard_normal()))
        sizes.append(min(max(drawn, _SMALLEST_MM3), _LARGEST_MM3, max(total_mm3, _SMALLEST_MM3)))
    volumes = np.array(sizes)
    return volumes * (total_mm3 / volumes.sum()) if sizes else volumes


def draw_baseline(rng: np.random.Generator, total_mm3: float) -> Floats:
    """Lesion volumes of a participant with the given load."""
    shift = _LN_MEAN_PER_LN_LOAD * math.log(max(total_mm3, 1.0) / _TYPICAL_LOAD_MM3)
    return draw_sizes(rng, total_mm3, ln_mean=_LN_MEAN + shift)


def lesion_course(
    rng: np.random.Generator, totals_mm3: Floats, attack_gains_mm3: Floats
) -> LesionCourse:
    """Lesion volumes that sum to ``totals_mm3`` at every session.

    totals_mm3 : (sessions,). attack_gains_mm3 : (sessions - 1,), volume that attacks add.
    """
    now = draw_baseline(rng, float(totals_mm3[0]))
    steps = [now]
    from_attack = np.zeros(len(now), dtype=bool)
    for after, attack in zip(totals_mm3[1:], attack_gains_mm3, strict=True):
        now, from_attack = _next_session(
            rng, now, from_attack, change=float(after) - float(now.sum()), attack=float(attack)
        )
        steps.append(now)
    volumes = np.zeros((len(now), len(steps)))
    for session, volume in enumerate(steps):
        volumes[: len(volume), session] = volume
    return LesionCourse(volumes, tuple(_kind(row) for row in volumes))


def _next_session(
    rng: np.random.Generator, before: Floats, from_attack: Flags,
    *, change: float, attack: float,
) -> tuple[Floats, Flags]:  # fmt: skip
    calm = change - attack
    total = float(before.sum())
    gain = max(calm, 0.0) + _TURNOVER_SHARE * total * float(rng.uniform(0.3, 1.7))
    loss = min(gain - calm, _LARGEST_LOSS_SHARE * total)
    gain = loss + calm
    after, shrunk = _shrink(rng, before, from_attack, loss)
    growing = (after > 0) & ~shrunk & (rng.random(len(after)) < 0.4)
    new_total = gain * (_NEW_SHARE_OF_GAIN if growing.any() else 1.0)
    if new_total < _SMALLEST_MM3 and growing.any():
        new_total = 0.0
    if growing.any():
        after[growing] *= 1 + (gain - new_total) / after[growing].sum()
    appeared = draw_sizes(rng, new_total)
    flared = draw_sizes(rng, attack, ln_mean=_ATTACK_LN_MEAN, ln_sd=_ATTACK_LN_SD)
    flags = np.concatenate([from_attack, np.zeros(len(appeared), bool), np.ones(len(flared), bool)])
    return np.concatenate([after, appeared, flared]), flags


def _shrink(
    rng: np.random.Generator, before: Floats,
    from_attack: Flags, loss: float,
) -> tuple[Floats, Flags]:  # fmt: skip
    """Take ``loss`` away: attack lesions resolve in part, some small ones wholly."""
    after, shrunk = before.copy(), np.zeros(len(before), dtype=bool)
    order = rng.permutation(len(before))
    for row in sorted(order.tolist(), key=lambda row: not from_attack[row]):
        if loss <= 1e-9:
            break
        if after[row] <= 0:
            continue
        whole = after[row] <= min(loss, 30.0) and rng.random() < 0.5
        taken = min(loss, after[row] * (1.0 if whole else _ATTACK_RESOLUTION))
        after[row], shrunk[row], loss = after[row] - taken, True, loss - taken
    if loss > 1e-9:
        after *= 1 - loss / after.sum()
    return np.where(after < 1e-6, 0.0, after), shrunk


def _kind(volumes: Floats) -> str:
    first, last = float(volumes[0]), float(volumes[-1])
    if first == 0:
        return "new"
    if last == 0:
        return "resolving"
    if last > first * (1 + _CHANGED):
        return "growing"
    return "shrinking" if last < first * (1 - _CHANGED) else "stable"
