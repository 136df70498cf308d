"""The words of a cohort as types: scan, exclusion, cohort."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from lesion_dynamics.settings.cohort import Prepared

DIAGNOSES = ("MS", "NMOSD")
SEQUENCES = ("FLAIR", "T1w", "T2w", "PDw")
SAID_COLUMNS = ["participant_id", "session_id", "age_years", "sex"]


@dataclass(frozen=True, slots=True)
class SequenceChoice:
    """Which of several files of a session stands for a sequence.

    decided_by : the entry of ``cohort.prefer`` that decided.
    """

    sequence: str
    chosen: Path
    rejected: tuple[Path, ...]
    decided_by: str


@dataclass(frozen=True, slots=True)
class Scan:
    """One participant at one session: all its sequences.

    participant_id : with its prefix, ``sub-01``.
    session_id : with its prefix, ``ses-01``.
    images : file of each sequence present; FLAIR always is.
    reference_mask : manual or consensus mask on the FLAIR grid, if there is one.
    prepared : what was done to this scan before, where the layout says so scan by scan;
        None: what the cohort's settings say.
    choices : for each sequence that had several candidates, which was taken and why.
    remarks : doubts about headers that stop nothing, each with its sequence.
    gradient_coefficients : file that describes the scanner's gradients, where their
        non-linearity is to be corrected.
    """

    participant_id: str
    session_id: str
    images: Mapping[str, Path]
    reference_mask: Path | None = None
    prepared: Prepared | None = None
    choices: tuple[SequenceChoice, ...] = ()
    remarks: tuple[str, ...] = ()
    gradient_coefficients: Path | None = None

    @property
    def input_files(self) -> dict[str, Path]:
        """Every file that the prepared scan depends on, by name: what keys must hash."""
        files = dict(sorted(self.images.items()))
        if self.gradient_coefficients is not None:
            files["gradient_coefficients"] = self.gradient_coefficients
        return files

    @property
    def key(self) -> tuple[str, str]:
        """``(participant_id, session_id)``, the order of every table."""
        return (self.participant_id, self.session_id)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A scan or a participant that is left out, and why.

    session_id : None: all sessions.
    reason : the file and what is wrong with it. remedy : what to do about it.
    failed : something is wrong with the files, rather than that a sequence was never acquired.
    """

    participant_id: str
    session_id: str | None
    reason: str
    failed: bool = False
    remedy: str = ""

    @property
    def explained(self) -> str:
        """Reason and remedy, for tables and messages."""
        return f"{self.reason}. {self.remedy}" if self.remedy else self.reason

    @property
    def who(self) -> str:
        """``sub-01 ses-02``, or ``sub-01`` for all sessions."""
        return " ".join(name for name in (self.participant_id, self.session_id) if name)

    @property
    def line(self) -> str:
        """Who is left out, why, and what to do about it, on one line."""
        return f"{self.who}: {self.explained}"


@dataclass(frozen=True)
class CohortTables:
    """The tables of a cohort; no image is needed for them.

    participants : one row a participant: participant_id, diagnosis (MS, NMOSD), age_years,
        sex (F, M), scanner. The last three may be missing (NaN / None).
    sessions : one row a session, ordered: participant_id, session_id, days_from_baseline
        (float), scanner.
    attacks : one row an attack: participant_id, days_from_baseline (float; NaN = date unknown).
    attacks_recorded : False where the cohort has no record of attacks at all.
    said_at_sessions : what tables say of a participant at a session, where they do:
        participant_id, session_id, age_years, sex. For checks; nothing is computed from it.
    """

    participants: pd.DataFrame
    sessions: pd.DataFrame
    attacks: pd.DataFrame
    attacks_recorded: bool
    said_at_sessions: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=SAID_COLUMNS)
    )

    def of(self, participant_ids: Collection[str]) -> CohortTables:
        """The rows of these participants alone."""
        return CohortTables(
            participants=_rows_of(self.participants, participant_ids),
            sessions=_rows_of(self.sessions, participant_ids),
            attacks=_rows_of(self.attacks, participant_ids),
            attacks_recorded=self.attacks_recorded,
            said_at_sessions=_rows_of(self.said_at_sessions, participant_ids),
        )


def _rows_of(table: pd.DataFrame, participant_ids: Collection[str]) -> pd.DataFrame:
    return table[table["participant_id"].isin(set(participant_ids))].reset_index(drop=True)


@dataclass(frozen=True)
class Cohort:
    """The ordered scans, their tables, and who was left out with the reason.

    unused_masks : reference masks that cannot be used, where nobody needs them: their scans are
        kept, without them.
    """

    name: str
    root: Path
    scans: tuple[Scan, ...]
    tables: CohortTables
    exclusions: tuple[Exclusion, ...]
    unused_masks: tuple[Exclusion, ...] = ()

    def diagnosis_of(self, participant_id: str) -> str:
        """``MS`` or ``NMOSD``."""
        return self._diagnoses[participant_id]

    @cached_property
    def _diagnoses(self) -> dict[str, str]:
        rows = self.tables.participants
        return dict(zip(rows["participant_id"], rows["diagnosis"], strict=True))
