"""What the rules look at: the cohort's tables and the records of its images, by participant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from lesion_dynamics.cohort.checking.image_record import ImageRecord
from lesion_dynamics.cohort.cohort import CohortTables


class Session(NamedTuple):
    """A session of the tables. scanner : None where no table says it."""

    session_id: str
    days: float
    scanner: str | None


class Statement(NamedTuple):
    """What one source says of a participant. session_id : "" where it is about no session."""

    source: str
    session_id: str
    sex: str | None
    age_years: float | None


@dataclass(frozen=True)
class Evidence:
    """Everything that findings are made of.

    tables : the cohort's. records : of every image of every scan that can be used.
    """

    tables: CohortTables
    records: Sequence[ImageRecord]

    @cached_property
    def sessions(self) -> dict[str, list[Session]]:
        """Sessions of each participant, in the order of their days."""
        found: dict[str, list[Session]] = defaultdict(list)
        table = self.tables.sessions
        columns = ("participant_id", "session_id", "days_from_baseline", "scanner")
        for participant_id, session_id, days, scanner in zip(
            *(table[name] for name in columns), strict=True
        ):
            known = scanner if isinstance(scanner, str) else None
            found[participant_id].append(Session(session_id, float(days), known))
        return dict(found)

    @cached_property
    def records_of(self) -> dict[str, list[ImageRecord]]:
        """Records of each participant, in the order of ``records``."""
        found: dict[str, list[ImageRecord]] = defaultdict(list)
        for record in self.records:
            found[record.participant_id].append(record)
        return dict(found)

    @cached_property
    def statements(self) -> dict[str, list[Statement]]:
        """What tables and sidecars say of each participant."""
        found: dict[str, list[Statement]] = defaultdict(list)
        for participant_id, statement in self._statements():
            if statement.sex is not None or statement.age_years is not None:
                found[participant_id].append(statement)
        return dict(found)

    def _statements(self) -> Iterator[tuple[str, Statement]]:
        people = self.tables.participants
        for participant_id, sex, age in zip(
            people["participant_id"], people["sex"], people["age_years"], strict=True
        ):
            yield participant_id, _statement("the table of participants", "", sex, age)
        said = self.tables.said_at_sessions
        for participant_id, session_id, age, sex in zip(
            *(said[name] for name in said.columns), strict=True
        ):
            yield participant_id, _statement("the table of sessions", session_id, sex, age)
        for record in self.records:
            sidecar = record.sidecar
            source = f"the sidecar of {record.sequence}"
            statement = Statement(source, record.session_id, sidecar.sex, sidecar.age_years)
            yield record.participant_id, statement


def _statement(source: str, session_id: str, sex: object, age: float) -> Statement:
    known = float(age) if age == age else None  # NaN is not said
    return Statement(source, session_id, sex if isinstance(sex, str) else None, known)
