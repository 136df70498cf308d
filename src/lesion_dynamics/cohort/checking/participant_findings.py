"""A participant whose sex changes, or whose age does not fit the days: whose scans are these?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lesion_dynamics.cohort.checking.evidence import Evidence, Session, Statement
from lesion_dynamics.cohort.checking.finding import Finding
from lesion_dynamics.cohort.remission import DAYS_PER_YEAR

_ROUNDING_YEARS = 1.1
"""Ages are given in whole years, so two of them are at most one year off; a tenth for days."""
_PLAUSIBLE_AGE_YEARS = (1.0, 110.0)


def participant_findings(evidence: Evidence) -> Iterator[Finding]:
    """Findings about sex and age, at most one of each kind for a participant."""
    for participant_id, statements in evidence.statements.items():
        yield from _sex(participant_id, statements)
        sessions = evidence.sessions.get(participant_id, [])
        yield from _age(participant_id, statements, sessions)


def _sex(participant_id: str, statements: Sequence[Statement]) -> Iterator[Finding]:
    first: dict[str, Statement] = {}
    for statement in statements:
        if statement.sex is not None:
            first.setdefault(statement.sex, statement)
    if len(first) > 1:
        said = " and ".join(f"{sex} in {_named(s)}" for sex, s in first.items())
        yield Finding("sex-differs", participant_id, "", f"the sex is {said}")


def _age(
    participant_id: str, statements: Sequence[Statement], sessions: Sequence[Session]
) -> Iterator[Finding]:
    low, high = _PLAUSIBLE_AGE_YEARS
    for statement in statements:
        if statement.age_years is not None and not low <= statement.age_years <= high:
            what = f"the age is {statement.age_years:g} years in {_named(statement)}"
            yield Finding("age-implausible", participant_id, statement.session_id, what)
            return
    births = _births(statements, sessions)
    if not births:
        return
    youngest = max(births, key=lambda birth: birth[0])
    oldest = min(births, key=lambda birth: birth[1])
    off = youngest[0] - oldest[1]
    if off > _ROUNDING_YEARS:
        ages = " and ".join(f"{s.age_years:g} years in {_named(s)}" for *_, s in (oldest, youngest))
        what = f"the ages do not fit the days: {ages}, {off:.1f} years off"
        yield Finding("age-differs", participant_id, "", what)


def _births(
    statements: Sequence[Statement], sessions: Sequence[Session]
) -> list[tuple[float, float, Statement]]:
    """Earliest and latest year of birth, counted from day 0, that each statement allows.

    An age that is about no session may have been asked at any of them.
    """
    days: Mapping[str, float] = {session.session_id: session.days for session in sessions}
    found = []
    for statement in statements:
        if statement.age_years is None or not days:
            continue
        own = days.get(statement.session_id)
        first, last = (min(days.values()), max(days.values())) if own is None else (own, own)
        found.append(
            (
                first / DAYS_PER_YEAR - statement.age_years,
                last / DAYS_PER_YEAR - statement.age_years,
                statement,
            )
        )
    return found


def _named(statement: Statement) -> str:
    return " ".join(part for part in (statement.source, statement.session_id) if part)
