"""The study's participants: sessions, attacks, and lesion volumes over the years. No images.

Volumes and changes are stratified quantiles, not random draws, scaled to the published
medians; the last session's median is met by scaling what attacks add.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.cohort.remission import session_intervals
from lesion_dynamics.phantom.course_targets import TARGETS, CourseTargets
from lesion_dynamics.phantom.lesion_course import LesionCourse, lesion_course
from lesion_dynamics.phantom.random_streams import stream
from lesion_dynamics.phantom.schedule import Schedule, draw_schedules
from lesion_dynamics.phantom.smooth_fields import Floats
from lesion_dynamics.settings.phantom import PhantomSettings

_STEEPEST_LOSS_PER_YEAR = 0.14  # of the first volume
_NMOSD_SPREAD_MM3_PER_YEAR = 95.0
_CHANGE_GROWS_WITH_LOAD = 0.7  # exponent
_BISECTIONS = 40
_ASSIGNMENTS = 100
_SMALLEST_ATTACK_FACTOR, _LARGEST_ATTACK_FACTOR = 0.1, 0.9
_ATTACK_GAIN_SPREAD = 0.4
_INTERVAL_NOISE = 0.015  # of the first volume, per remission interval


@dataclass(frozen=True)
class ParticipantCourse:
    """One participant of the study. totals_mm3 : (sessions,) lesion volume."""

    schedule: Schedule
    totals_mm3: Floats
    lesions: LesionCourse

    @property
    def participant_id(self) -> str:
        """With its prefix."""
        return self.schedule.participant_id


def simulate_study(settings: PhantomSettings) -> list[ParticipantCourse]:
    """The whole study cohort, MS first. Takes a fraction of a second."""
    return [
        course
        for diagnosis, count, free in (
            ("MS", settings.study_ms, 0),
            ("NMOSD", settings.study_nmosd, settings.study_lesion_free),
        )
        for course in _simulate_diagnosis(settings, diagnosis, count, min(free, count - 1))
    ]


def _simulate_diagnosis(
    settings: PhantomSettings, diagnosis: str, count: int, lesion_free: int
) -> list[ParticipantCourse]:
    targets = TARGETS[diagnosis]
    rng = stream(settings.seed, "study", diagnosis, "course")
    first = rng.permutation(_first_volumes(targets, count, lesion_free))
    schedules = draw_schedules(rng, settings, diagnosis, count, targets.attack_share)
    remission = [_remission_years(schedule, settings.washout_days) for schedule in schedules]
    seen = np.array([bool((years > 0).any()) for years in remission])
    load = np.where(first > 0, np.maximum(first, 0.3 * targets.first_mm3), 0.0)

    # Which participant gets which change decides how far attacks can move the last median:
    # assign anew until a plausible size of attacks meets the published one.
    for _ in range(_ASSIGNMENTS):
        rates = _rates(rng, diagnosis, first, seen)
        noise = [_interval_noise(rng, *pair) for pair in zip(remission, first, strict=True)]
        attack_gain = load * np.exp(_ATTACK_GAIN_SPREAD * rng.standard_normal(count))
        draw = _Draw(first, rates, noise, attack_gain, schedules)
        if (
            draw.last_median(_SMALLEST_ATTACK_FACTOR)
            <= targets.last_mm3
            <= draw.last_median(_LARGEST_ATTACK_FACTOR)
        ):
            break
    outcome = draw.totals(_attack_factor(draw, targets.last_mm3))
    found = []
    for schedule, (volumes, gains) in zip(schedules, outcome, strict=True):
        own = stream(settings.seed, "study", schedule.participant_id, "course")
        found.append(ParticipantCourse(schedule, volumes, lesion_course(own, volumes, gains)))
    return found


@dataclass(frozen=True)
class _Draw:
    """Everything drawn for one diagnosis but the size of attacks."""

    first: Floats
    rates: Floats
    noise: list[Floats]
    attack_gain: Floats
    schedules: list[Schedule]

    def totals(self, factor: float) -> list[tuple[Floats, Floats]]:
        """Volumes and attack gains of every participant."""
        rows = zip(
            self.first,
            self.rates,
            self.noise,
            factor * self.attack_gain,
            self.schedules,
            strict=True,
        )
        return [_totals(*row) for row in rows]

    def last_median(self, factor: float) -> float:
        """Median volume at the last session."""
        return float(np.median([volumes[-1] for volumes, _ in self.totals(factor)]))


def _attack_factor(draw: _Draw, wanted: float) -> float:
    low, high = 0.0, _LARGEST_ATTACK_FACTOR
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if draw.last_median(middle) < wanted else (low, middle)
    return low


def _normal_quantiles(count: int) -> Floats:
    return np.array([NormalDist().inv_cdf((rank + 0.5) / count) for rank in range(count)])


def _first_volumes(targets: CourseTargets, count: int, lesion_free: int) -> Floats:
    volumes = np.exp(targets.baseline_sigma * _normal_quantiles(count - lesion_free))
    volumes = np.concatenate([np.zeros(lesion_free), volumes])
    middle = float(np.median(volumes))
    scale = middle if middle > 0 else float(volumes.max())
    return np.asarray(np.round(volumes * (targets.first_mm3 / scale), 3))


def _rates(
    rng: np.random.Generator, diagnosis: str, first: Floats, seen: NDArray[np.bool_]
) -> Floats:
    """Change in remission in mm3 per year; its median over participants seen in remission."""
    targets = TARGETS[diagnosis]
    count = len(first)
    ranks = np.argsort(np.argsort(first + 1e-6 * rng.random(count)))
    follow = targets.rate_follows_load
    mixed = follow * _normal_quantiles(count)[ranks] + np.sqrt(1 - follow**2) * (
        rng.standard_normal(count)
    )
    scores = _normal_quantiles(count)[np.argsort(np.argsort(mixed))]
    steepest = -_STEEPEST_LOSS_PER_YEAR * first
    if diagnosis == "MS":  # skewed: most gain a little, a few much, a few lose
        rates = np.maximum(273.0 * np.exp(0.9 * scores) - 80.0, steepest)
        middle = float(np.median(rates[seen])) if seen.any() else targets.change_mm3_per_year
        return np.asarray(np.maximum(rates * (targets.change_mm3_per_year / middle), steepest))
    # As much down as up, more where there is more to lose.
    size = (first / targets.first_mm3) ** _CHANGE_GROWS_WITH_LOAD
    low, high = -500.0, 500.0
    for _ in range(_BISECTIONS):
        shift = 0.5 * (low + high)
        drawn = (_NMOSD_SPREAD_MM3_PER_YEAR * scores + shift) * size
        rates = np.where(first > 0, np.maximum(drawn, steepest), 0.0)
        middle = float(np.median(rates[seen])) if seen.any() else 0.0
        low, high = (shift, high) if middle < targets.change_mm3_per_year else (low, shift)
    return rates


def _remission_years(schedule: Schedule, washout_days: float) -> Floats:
    """Years of each interval in remission, 0 where it is not; the study's own rule decides."""
    name = schedule.participant_id
    sessions = pd.DataFrame(
        {
            "participant_id": name,
            "session_id": schedule.session_ids,
            "days_from_baseline": np.asarray(schedule.days, dtype=np.float64),
            "scanner": schedule.scanners,
        }
    )
    attacks = pd.DataFrame(
        {
            "participant_id": [name] * len(schedule.attacks),
            "days_from_baseline": np.asarray(schedule.attacks, dtype=np.float64),
        }
    )
    participants = pd.DataFrame({"participant_id": [name], "diagnosis": [schedule.diagnosis]})
    tables = CohortTables(participants, sessions, attacks, attacks_recorded=True)
    intervals = session_intervals(tables, washout_days=washout_days)
    return np.where(intervals["is_remission"], intervals["interval_years"], 0.0)


def _interval_noise(rng: np.random.Generator, years: Floats, first: float) -> Floats:
    """Volume that comes and goes: sums to 0 over remission, so that the rate stays."""
    noise = _INTERVAL_NOISE * first * rng.standard_normal(len(years)) * (years > 0)
    calm = int((years > 0).sum())
    return np.asarray(np.where(years > 0, noise - noise.sum() / max(calm, 1), 0.0))


def _totals(
    first: float, rate: float, noise: Floats, gain: float, schedule: Schedule
) -> tuple[Floats, Floats]:
    """Volumes (sessions,) and what attacks add (sessions - 1,)."""
    days = np.asarray(schedule.days, dtype=np.float64)
    inside = np.array(
        [
            sum(start < attack <= end for attack in schedule.attacks)
            for start, end in pairwise(schedule.days)
        ]
    )
    gains = gain * inside
    change = rate * np.diff(days) / 365.25 + noise + gains
    volumes = np.maximum(first + np.concatenate([[0.0], np.cumsum(change)]), 0.0)
    return np.asarray(np.round(volumes, 3), dtype=np.float64), gains
