"""When participants came, on which scanner, and when they had attacks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lesion_dynamics.phantom.protocol import STUDY_SCANNERS
from lesion_dynamics.settings.phantom import PhantomSettings

_SCANNER_CHANGES_EVERY = 9  # one participant in so many changes scanner
_PAST_ATTACK_DAYS = (-1500, -200)
_RECENT_ATTACK_DAYS = -45
_AGE = {"MS": (24, 56), "NMOSD": (27, 66)}
_FEMALE = {"MS": 0.71, "NMOSD": 0.87}
_SHORTEST, _LONGEST = 0.7, 1.3  # of the mean follow-up


@dataclass(frozen=True)
class Schedule:
    """A participant's sessions and attacks; days count from the first session."""

    participant_id: str
    diagnosis: str
    age: int
    sex: str
    days: tuple[int, ...]
    scanners: tuple[str, ...]
    attacks: tuple[int, ...]

    @property
    def session_ids(self) -> tuple[str, ...]:
        """``ses-01`` and so on."""
        return tuple(f"ses-{number:02d}" for number in range(1, len(self.days) + 1))


def draw_schedules(
    rng: np.random.Generator, settings: PhantomSettings, diagnosis: str, count: int,
    attack_share: float,
) -> list[Schedule]:  # fmt: skip
    """Schedules of the participants of one diagnosis."""
    spread = _SHORTEST + (_LONGEST - _SHORTEST) * (np.arange(count) + 0.5) / count
    follow_ups = rng.permutation(spread) * settings.follow_up_years * 365.25
    visits = np.full(count, settings.sessions_per_participant)
    irregular = min(settings.irregular_participants, count // 2)
    visits[:irregular] -= 1 if settings.sessions_per_participant > 2 else 0
    visits[irregular : 2 * irregular] += 1
    visits = rng.permutation(visits)
    attacked = rng.permutation(count) < round(attack_share * count)
    found = []
    for row in range(count):
        days = _days(rng, float(follow_ups[row]), int(visits[row]))
        found.append(
            Schedule(
                participant_id=f"sub-{diagnosis.lower()}{row + 1:02d}",
                diagnosis=diagnosis,
                age=int(rng.integers(*_AGE[diagnosis])),
                sex="F" if rng.random() < _FEMALE[diagnosis] else "M",
                days=days,
                scanners=_scanners(rng, row, len(days)),
                attacks=_attacks(rng, days, has_attack=bool(attacked[row])),
            )
        )
    return _with_recent_attack(found)


def _days(rng: np.random.Generator, follow_up: float, visits: int) -> tuple[int, ...]:
    steps = np.arange(visits) + np.concatenate([[0], rng.uniform(-0.2, 0.2, visits - 2), [0]])
    return tuple(int(day) for day in np.rint(steps / (visits - 1) * follow_up))


def _scanners(rng: np.random.Generator, row: int, visits: int) -> tuple[str, ...]:
    first = int(rng.integers(len(STUDY_SCANNERS)))
    later = (first + 1) % len(STUDY_SCANNERS) if row % _SCANNER_CHANGES_EVERY == 4 else first
    return (STUDY_SCANNERS[first],) + (STUDY_SCANNERS[later],) * (visits - 1)


def _attacks(
    rng: np.random.Generator, days: tuple[int, ...], *, has_attack: bool
) -> tuple[int, ...]:
    attacks = [int(rng.integers(*_PAST_ATTACK_DAYS))]
    if has_attack:
        # In the early part of an interval: the next session is past the washout again. With one
        # interval only, its participant is never in remission.
        interval = int(rng.integers(len(days) - 1))
        start, end = days[interval], days[interval + 1]
        attacks.append(int(start + rng.uniform(0.1, 0.7) * (end - start)))
    return tuple(attacks)


def _with_recent_attack(schedules: list[Schedule]) -> list[Schedule]:
    """Give one participant without a later attack one just before the first session."""
    for row, schedule in enumerate(schedules):
        if len(schedule.attacks) == 1 and len(schedule.days) > 2:
            recent = (*schedule.attacks, _RECENT_ATTACK_DAYS)
            return [*schedules[:row], replace(schedule, attacks=recent), *schedules[row + 1 :]]
    return schedules
