"""Learning-rate schedules: the share of the full learning rate at every step."""

from __future__ import annotations

import math

from lesion_dynamics.settings.training import OptimiserSettings


def learning_rate_share(step: int, *, steps: int, settings: OptimiserSettings) -> float:
    """Share of the learning rate at ``step`` (from 0) of ``steps``.

    Warm-up: (step + 1) / warm-up steps. Then, with d the share of the rest that is done: cosine,
    (1 + cos(pi d)) / 2; polynomial, (1 - d)^power; constant, 1;
    trapezoid, 1 and over the last steps a straight line that reaches 0 after the last one.
    """
    warmup = max(1, round(steps * settings.warmup_fraction))
    if step < warmup:
        return (step + 1) / warmup
    if settings.schedule == "trapezoid":
        decay = max(1, round(steps * settings.decay_fraction))
        return max(0.0, min(1.0, (steps - step) / decay))
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    if settings.schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * done))
    if settings.schedule == "polynomial":
        return float((1.0 - done) ** settings.polynomial_power)
    return 1.0
