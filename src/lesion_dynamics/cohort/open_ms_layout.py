"""Reading the open MS data of the University of Ljubljana as upstream lays it out.

Lesjak et al., Neuroinformatics 2017, doi 10.1007/s12021-017-9348-7 (cross-sectional, one
session a participant) and Lesjak et al., Neuroinformatics 2016 (longitudinal, two sessions).
The two parts number their participants alike but are different people: ``sub-cross26`` and
``sub-long01``.

- ``cross_sectional/MNI/patientNN``: skull-stripped, aligned, N4-corrected, in MNI space, with
  a consensus mask of three raters on the FLAIR grid (the reference mask).
- ``longitudinal/raw/patientNN``: whole-head scans as they came from the scanner. ``gt.nii.gz``
  there marks the change of lesions, not the lesions: it is no reference mask.

Everyone counts as MS, the two with a clinically isolated syndrome too. The data have no record
of attacks.
"""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass
from pathlib import Path

from lesion_dynamics.cohort import tables
from lesion_dynamics.cohort.cohort import CohortTables, Exclusion, Scan
from lesion_dynamics.cohort.unread_settings import refuse_unread
from lesion_dynamics.errors import CohortError
from lesion_dynamics.input_files import first_bytes
from lesion_dynamics.settings.cohort import CohortSettings, Prepared

_ALIGNED = "_N4_noneck_reduced_winsor_regtoFLAIR"
_CROSS_SECTIONAL_FILES = {
    "FLAIR": f"FLAIR{_ALIGNED}_brain_N4_regtoMNI.nii.gz",
    "T1w": f"T1{_ALIGNED}_brain_N4_regtoMNI.nii.gz",
    "T2w": f"T2{_ALIGNED}_brain_N4_regtoMNI.nii.gz",
}
_CONSENSUS_MASK = f"GOLD_STANDARD{_ALIGNED}_regtoMNI.nii.gz"
_LONGITUDINAL_FILES = {"FLAIR": "FLAIR", "T1w": "T1W", "T2w": "T2W"}
_STUDIES = (1, 2)

_CROSS_SECTIONAL_PREPARED = Prepared(
    skull_stripped=True, sequences_aligned=True, bias_corrected=True
)
_LONGITUDINAL_PREPARED = Prepared()

_PATIENT_FOLDER = re.compile(r"patient([0-9]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Patient:
    """A patient's folder of either part, as a participant."""

    participant_id: str
    folder: Path
    longitudinal: bool
    info: dict[str, str]
    """The patient's row of patient_info.csv."""


def read_tables(settings: CohortSettings) -> CohortTables:
    """Participants with a folder on disk, and their sessions, from both ``patient_info.csv``.

    Raises
    ------
    CohortError : neither part is there, no row for a patient, or no days between sessions.
    ConfigurationError : settings that this layout answers by itself.
    """
    refuse_unread(settings, read=set())
    patients = _patients(settings.root)
    participants = {
        "participant_id": [patient.participant_id for patient in patients],
        "diagnosis": ["MS"] * len(patients),
        "age": [patient.info.get("age", "") for patient in patients],
        "sex": [patient.info.get("sex", "") for patient in patients],
        "scanner": [tables.MISSING[0]] * len(patients),
    }
    sessions: dict[str, list[str]] = {
        name: [] for name in ("participant_id", "session_id", "days_from_baseline", "scanner")
    }
    for patient in patients:
        for study in _STUDIES if patient.longitudinal else (1,):
            days = "0" if study == 1 else patient.info.get("days_between_studies", "")
            sessions["participant_id"].append(patient.participant_id)
            sessions["session_id"].append(f"ses-{study:02d}")
            sessions["days_from_baseline"].append(days.strip())
            sessions["scanner"].append(tables.MISSING[0])
    where = settings.root / "*" / "patient_info.csv"
    return CohortTables(
        participants=tables.participants_table(participants, where=where),
        sessions=tables.sessions_table(sessions, file_of=lambda _: where),
        attacks=tables.no_attacks(),
        attacks_recorded=False,
    )


def find_scans(
    settings: CohortSettings,
    cohort_tables: CohortTables,
    *,
    required_sequences: tuple[str, ...],
    optional_sequences: tuple[str, ...],
) -> tuple[list[Scan], list[Exclusion]]:
    """Find the files of every session, and the sessions that lack one."""
    folders = {patient.participant_id: patient for patient in _patients(settings.root)}
    scans: list[Scan] = []
    exclusions: list[Exclusion] = []
    sessions = cohort_tables.sessions
    for participant_id, session_id in zip(
        sessions["participant_id"], sessions["session_id"], strict=True
    ):
        patient = folders[participant_id]
        wanted = {
            sequence: patient.folder / _filename(patient, session_id, sequence)
            for sequence in (*required_sequences, *optional_sequences)
            if sequence in _LONGITUDINAL_FILES
        }
        images = {sequence: file for sequence, file in wanted.items() if os.path.lexists(file)}
        missing = [sequence for sequence in required_sequences if sequence not in images]
        if missing:
            shown = patient.folder.relative_to(settings.root)
            reason = f"no {missing[0]} in {shown}"
            remedy = f"The open MS data have none: {', '.join(_LONGITUDINAL_FILES)} alone."
            if missing[0] in wanted:
                reason += f" ({wanted[missing[0]].name})"
                remedy = "Restore the file from upstream, or leave this session out."
            exclusions.append(Exclusion(participant_id, session_id, reason, remedy=remedy))
            continue
        scans.append(_scan(patient, session_id, images))
    return scans, exclusions


def _scan(patient: _Patient, session_id: str, images: dict[str, Path]) -> Scan:
    mask = patient.folder / _CONSENSUS_MASK
    has_mask = not patient.longitudinal and os.path.lexists(mask)
    return Scan(
        participant_id=patient.participant_id,
        session_id=session_id,
        images=images,
        reference_mask=mask if has_mask else None,
        prepared=_LONGITUDINAL_PREPARED if patient.longitudinal else _CROSS_SECTIONAL_PREPARED,
    )


def _filename(patient: _Patient, session_id: str, sequence: str) -> str:
    if not patient.longitudinal:
        return _CROSS_SECTIONAL_FILES[sequence]
    study = int(session_id.removeprefix("ses-"))
    return f"study{study}_{_LONGITUDINAL_FILES[sequence]}.nii.gz"


def _patients(root: Path) -> list[_Patient]:
    parts = (("cross_sectional", "MNI", "cross"), ("longitudinal", "raw", "long"))
    found: list[_Patient] = []
    for part, level, prefix in parts:
        folder = root / part / level
        if not folder.is_dir():
            continue
        info_file = root / part / "patient_info.csv"
        info = _patient_info(info_file)
        for patient in sorted(folder.iterdir()):
            number = _PATIENT_FOLDER.fullmatch(patient.name)
            if number is None or not patient.is_dir():
                continue
            row = info.get(int(number[1]))
            if row is None:
                raise CohortError(
                    f"{part}/{level}/{patient.name} has no row",
                    where=info_file,
                    remedy="Restore the file from upstream, or take the folder out.",
                )
            name = f"sub-{prefix}{int(number[1]):02d}"
            found.append(_Patient(name, patient, prefix == "long", row))
    if not found:
        raise CohortError(
            "not the open MS data: no patient below cross_sectional/MNI or longitudinal/raw",
            where=root,
            remedy="Set cohort.root to the folder that holds both (upstream: open_ms_data).",
        )
    return found


def _patient_info(path: Path) -> dict[int, dict[str, str]]:
    restore = "Restore the file from upstream."
    first_bytes(path, 1, refusal=CohortError, restore=restore)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        numbers = [int(row["patient_id"]) for row in rows]
        if len(set(numbers)) < len(numbers):
            raise ValueError("a patient has two rows")
        return {
            number: {
                name: tables.MISSING[0] if value in (None, "", "N/A") else value
                for name, value in row.items()
            }
            for number, row in zip(numbers, rows, strict=True)
        }
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise CohortError(
            f"patient_info.csv cannot be read ({type(error).__name__}: {error})",
            where=path,
            remedy=restore,
        ) from error
