"""Reading a raw BIDS tree: ``sub-X/ses-Y/anat/sub-X_ses-Y_FLAIR.nii.gz`` and its tables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath

from lesion_dynamics.cohort import tables
from lesion_dynamics.cohort.bids_name import BidsName, label_of
from lesion_dynamics.cohort.cohort import CohortTables, Exclusion, Scan, SequenceChoice
from lesion_dynamics.cohort.sequence_choice import (
    Candidate,
    choose,
    possible,
    require_known_preferences,
    sessions_with_each,
)
from lesion_dynamics.cohort.unread_settings import refuse_unread
from lesion_dynamics.errors import CohortError, ScanError
from lesion_dynamics.settings.cohort import CohortSettings

_IMAGE_EXTENSIONS = (".nii.gz", ".nii")


def read_tables(settings: CohortSettings) -> CohortTables:
    """``participants.tsv``, every ``sub-X_sessions.tsv`` and ``phenotype/attacks.tsv``.

    Without ``phenotype/attacks.tsv`` the cohort has no record of attacks. A participant of
    ``participants.tsv`` without a folder has no sessions.

    Raises
    ------
    CohortError : a missing or wrong table.
    ConfigurationError : settings that this layout does not read.
    """
    refuse_unread(settings, read={"prepared", "reference_masks", "prefer"})
    root = settings.root
    participants = tables.read_participants(root / "participants.tsv")
    names = ("session_id", "days_from_baseline", "scanner")
    scanner_of = dict(zip(participants["participant_id"], participants["scanner"], strict=True))
    columns: dict[str, list[str]] = {name: [] for name in ("participant_id", *names)}
    for participant_id in participants["participant_id"]:
        if not (root / participant_id).is_dir():
            continue
        rows = _session_rows(_sessions_file(root, participant_id))
        found = tables.columns_of(*rows, names)
        own = scanner_of[participant_id]
        fallback = own if isinstance(own, str) else tables.MISSING[0]
        found["scanner"] = [s if s not in tables.MISSING else fallback for s in found["scanner"]]
        for name in names:
            columns[name] += found[name]
        columns["participant_id"] += [participant_id] * len(found["session_id"])
    attacks = root / "phenotype" / "attacks.tsv"
    recorded = attacks.is_file()
    return CohortTables(
        participants=participants,
        sessions=tables.sessions_table(columns, file_of=lambda who: _sessions_file(root, who)),
        attacks=tables.read_attacks(attacks, participants=participants)
        if recorded
        else tables.no_attacks(),
        attacks_recorded=recorded,
    )


def _sessions_file(root: Path, participant_id: str) -> Path:
    return root / participant_id / f"{participant_id}_sessions.tsv"


def _session_rows(path: Path) -> tuple[list[str], tables.Rows]:
    if not path.is_file():
        raise CohortError(
            f"the sessions of {path.parent.name} have no days: {path.name} is missing",
            where=path,
            remedy="Write it, with the columns session_id and days_from_baseline.",
        )
    return tables.read_rows(path, required=("session_id", "days_from_baseline"))


def find_scans(
    settings: CohortSettings,
    cohort_tables: CohortTables,
    *,
    required_sequences: tuple[str, ...],
    optional_sequences: tuple[str, ...],
) -> tuple[list[Scan], list[Exclusion]]:
    """Find the files of every session in the tables, and the sessions that lack one.

    Raises
    ------
    CohortError : a folder of images that no table knows (no diagnosis, or no days).
    ConfigurationError : an entry of ``cohort.prefer`` that means nothing.
    """
    require_known_preferences(settings.prefer)
    root = settings.root
    known = cohort_tables.sessions
    sessions = list(zip(known["participant_id"], known["session_id"], strict=True))
    _refuse_unknown_folders(root, set(cohort_tables.participants["participant_id"]), set(sessions))
    scans: list[Scan] = []
    with_sessions = set(known["participant_id"])
    exclusions = [
        Exclusion(participant_id, None, f"{participant_id}: no sessions on disk")
        for participant_id in cohort_tables.participants["participant_id"]
        if participant_id not in with_sessions
    ]
    wanted = (*required_sequences, *optional_sequences)
    for participant_id, own in groupby(sessions, key=lambda key: key[0]):
        candidates = {key[1]: _candidates(root, *key, wanted) for key in own}
        for session_id, named in candidates.items():
            try:
                _require_own_files(participant_id, session_id, named)
                scans.append(
                    _scan(settings, participant_id, session_id, candidates, required_sequences)
                )
            except ScanError as error:
                exclusions.append(Exclusion(participant_id, session_id, error.what))
    return scans, exclusions


def _scan(
    settings: CohortSettings,
    participant_id: str,
    session_id: str,
    candidates: Mapping[str, Mapping[str, Sequence[Candidate]]],
    required_sequences: tuple[str, ...],
) -> Scan:
    """One session with the files that were chosen.

    candidates : of all sessions of the participant, by session and sequence.
    """
    images: dict[str, Path] = {}
    choices: list[SequenceChoice] = []
    for sequence, own in candidates[session_id].items():
        if not own:
            if sequence in required_sequences:
                folder = PurePosixPath(participant_id, session_id, "anat")
                raise ScanError(
                    f"no {sequence} in {folder}", where=settings.root / folder, remedy="Restore it."
                )
            continue
        choice = choose(
            sequence,
            own,
            prefer=settings.prefer,
            sessions_with=sessions_with_each([of[sequence] for of in candidates.values()]),
        )
        images[sequence] = choice.chosen
        if choice.rejected:
            choices.append(choice)
    mask = _reference_mask(settings, participant_id, session_id)
    return Scan(participant_id, session_id, images, reference_mask=mask, choices=tuple(choices))


def _reference_mask(settings: CohortSettings, participant_id: str, session_id: str) -> Path | None:
    if settings.reference_masks is None:
        return None
    name = BidsName.of_scan(participant_id, session_id, suffix="mask")
    path = name.having({"label": "L"}, suffix="mask").path_under(settings.reference_masks)
    return path if path.is_file() else None


def _candidates(
    root: Path, participant_id: str, session_id: str, sequences: tuple[str, ...]
) -> dict[str, list[Candidate]]:
    """Files of a session that could be each sequence."""
    named = list(_images(root / participant_id / session_id / "anat"))
    return {
        sequence: [c for c in named if c.name.suffix == sequence and possible(c)]
        for sequence in sequences
    }


def _images(folder: Path) -> Iterator[Candidate]:
    try:
        filenames = [entry.name for entry in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return
    for filename in filenames:
        if filename.endswith(_IMAGE_EXTENSIONS):
            try:
                yield Candidate(BidsName.parse(filename), folder / filename)
            except CohortError:
                continue  # a file of another kind is none of our sequences


def _require_own_files(
    participant_id: str, session_id: str, candidates: Mapping[str, Sequence[Candidate]]
) -> None:
    """An image of somebody else, or of another session, must not pass for one of this."""
    for candidate in (c for own in candidates.values() for c in own):
        entities = candidate.name.entities
        whose = (f"sub-{entities['sub']}", f"ses-{entities.get('ses', '')}")
        if whose != (participant_id, session_id):
            raise ScanError(
                f"{candidate.path.name} lies in the folder of {participant_id} {session_id}",
                where=candidate.path,
                remedy="Move it where its name says, or rename it.",
            )


def _refuse_unknown_folders(
    root: Path, participants: set[str], sessions: set[tuple[str, str]]
) -> None:
    for participant_id in sorted(_subfolders(root, "sub")):
        if participant_id not in participants:
            raise CohortError(
                f"participant {participant_id} has images but no diagnosis",
                where=root / "participants.tsv",
                remedy="Add the participant's row with its diagnosis, or take the folder out.",
            )
        for session_id in sorted(_subfolders(root / participant_id, "ses")):
            if (participant_id, session_id) not in sessions:
                raise CohortError(
                    f"session {session_id} of {participant_id} has images but no days",
                    where=_sessions_file(root, participant_id),
                    remedy="Add its row with days_from_baseline, or take the folder out.",
                )


def _subfolders(folder: Path, entity: str) -> Iterator[str]:
    for entry in os.scandir(folder):
        if entry.name.startswith(f"{entity}-") and entry.is_dir():
            label_of(entry.name, entity)
            yield entry.name
