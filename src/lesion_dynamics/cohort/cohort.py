"""The words of a cohort as types: scan, exclusion, cohort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lesion_dynamics.settings.cohort import Prepared

DIAGNOSES = ("MS", "NMOSD")
SEQUENCES = ("FLAIR", "T1w", "T2w")


@dataclass(frozen=True, slots=True)
class Scan:
    """One participant at one session: all its sequences.

    participant_id : with its prefix, ``sub-01``.
    session_id : with its prefix, ``ses-01``.
    images : file of each sequence present; FLAIR always is.
    reference_mask : manual or consensus mask on the FLAIR grid, if there is one.
    prepared : what was done to this scan before, where the layout says so scan by scan;
        None: what the cohort's settings say.
    gradient_coefficients : file that describes the scanner's gradients, where their
        non-linearity is to be corrected.
    """

    participant_id: str
    session_id: str
    images: Mapping[str, Path]
    reference_mask: Path | None = None
    prepared: Prepared | None = None
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
    failed : something is wrong with the files, rather than that a sequence was never acquired.
    """

    participant_id: str
    session_id: str | None
    reason: str
    failed: bool = False


@dataclass(frozen=True)
class CohortTables:
    """The tables of a cohort; no image is needed for them.

    participants : one row a participant: participant_id, diagnosis (MS, NMOSD), age_years,
        sex (F, M), scanner. The last three may be missing (NaN / None).
    sessions : one row a session, ordered: participant_id, session_id, days_from_baseline
        (float), scanner.
    attacks : one row an attack: participant_id, days_from_baseline (float; NaN = date unknown).
    attacks_recorded : False where the cohort has no record of attacks at all.
    """

    participants: pd.DataFrame
    sessions: pd.DataFrame
    attacks: pd.DataFrame
    attacks_recorded: bool


@dataclass(frozen=True)
class Cohort:
    """The ordered scans, their tables, and who was left out with the reason."""

    name: str
    root: Path
    scans: tuple[Scan, ...]
    tables: CohortTables
    exclusions: tuple[Exclusion, ...]

    def diagnosis_of(self, participant_id: str) -> str:
        """``MS`` or ``NMOSD``."""
        rows = self.tables.participants
        return str(rows.loc[rows["participant_id"] == participant_id, "diagnosis"].iloc[0])
