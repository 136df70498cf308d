"""Reading a raw BIDS tree: ``sub-X/ses-Y/anat/sub-X_ses-Y_FLAIR.nii.gz`` and its tables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath

from lesion_dynamics.cohort import tables
from lesion_dynamics.cohort.bids_name import BidsName, label_of
from lesion_dynamics.cohort.cohort import CohortTables, Exclusion, Scan, SequenceChoice
from lesion_dynamics.cohort.said_at_sessions import said_at_sessions
from lesion_dynamics.cohort.sequence_choice import (
    Candidate,
    choose,
    possible,
    require_known_preferences,
    sessions_with_each,
)
from lesion_dynamics.cohort.unread_settings import refuse_unread
from lesion_dynamics.errors import CohortError, ScanError
from lesion_dynamics.input_files import folder_entries
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
    _refuse_folder_above_a_cohort(root)
    participants = tables.read_participants(root / "participants.tsv")
    names = ("session_id", "days_from_baseline", "scanner", "age", "sex")
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
    recorded = os.path.lexists(attacks)  # a link that leads nowhere is a record as well
    return CohortTables(
        participants=participants,
        sessions=tables.sessions_table(columns, file_of=lambda who: _sessions_file(root, who)),
        attacks=tables.read_attacks(attacks, participants=participants)
        if recorded
        else tables.no_attacks(),
        attacks_recorded=recorded,
        said_at_sessions=said_at_sessions(columns),
    )


def _refuse_folder_above_a_cohort(root: Path) -> None:
    inside = [] if os.path.lexists(root / "participants.tsv") else root.glob("*/participants.tsv")
    for nested in sorted(inside):
        raise CohortError(
            f"no participants.tsv here, but there is one in {nested.parent.name}",
            where=root,
            remedy=f"Set cohort.root to {nested.parent}.",
        )


def _sessions_file(root: Path, participant_id: str) -> Path:
    return root / participant_id / f"{participant_id}_sessions.tsv"


def _session_rows(path: Path) -> tuple[list[str], tables.Rows]:
    if not os.path.lexists(path):
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
    refuse_unknown_folders(root, cohort_tables)
    scans: list[Scan] = []
    with_sessions = set(known["participant_id"])
    exclusions = [
        _without_sessions(root, participant_id)
        for participant_id in cohort_tables.participants["participant_id"]
        if participant_id not in with_sessions
    ]
    wanted = (*required_sequences, *optional_sequences)
    for participant_id, own in groupby(sessions, key=lambda key: key[0]):
        candidates: dict[str, dict[str, list[Candidate]]] = {}
        for key in own:
            try:
                candidates[key[1]] = _candidates(root, *key, wanted)
            except ScanError as error:
                exclusions.append(_exclusion(key, error, root))
        for session_id in candidates:
            try:
                scans.append(
                    _scan(settings, participant_id, session_id, candidates, required_sequences)
                )
            except ScanError as error:
                exclusions.append(_exclusion((participant_id, session_id), error, root))
    return scans, exclusions


class _NeverAcquiredError(ScanError):
    """Nothing is wrong with the files of a session: it has none of a required sequence."""


def _exclusion(key: tuple[str, str], error: ScanError, root: Path) -> Exclusion:
    if isinstance(error, _NeverAcquiredError):
        return Exclusion(*key, error.what, remedy=error.remedy)
    where = Path(error.where)
    named = where.name in error.what
    reason = error.what if named else f"{where.relative_to(root)}: {error.what}"
    return Exclusion(*key, reason, failed=True, remedy=error.remedy)


def _without_sessions(root: Path, participant_id: str) -> Exclusion:
    folder = root / participant_id
    if os.path.lexists(folder) and not folder.is_dir():
        what = "a link that leads nowhere" if folder.is_symlink() else "a file"
        reason = f"{participant_id}: {what} stands in the place of its folder"
        remedy = "Fetch or restore the folder, or take the participant's row out."
        return Exclusion(participant_id, None, reason, failed=True, remedy=remedy)
    reason = f"{participant_id}: no sessions on disk"
    remedy = "Restore its folder, or take its row out of participants.tsv."
    return Exclusion(participant_id, None, reason, remedy=remedy)


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
            folder = PurePosixPath(participant_id, session_id, "anat")
            _refuse_other_formats(settings.root / folder, sequence)
            if sequence in required_sequences:
                raise _NeverAcquiredError(
                    f"no {sequence} in {folder}",
                    where=settings.root / folder,
                    remedy="Restore it, or take the session's row out.",
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
    return path if os.path.lexists(path) else None  # what is wrong with it is said later


def _candidates(
    root: Path, participant_id: str, session_id: str, sequences: tuple[str, ...]
) -> dict[str, list[Candidate]]:
    """Files of a session that could be each sequence.

    Raises
    ------
    ScanError : the folder cannot be read, or holds an image of another scan.
    """
    named = list(_images(root / participant_id / session_id / "anat"))
    candidates = {
        sequence: [c for c in named if c.name.suffix == sequence and possible(c)]
        for sequence in sequences
    }
    _require_own_files(participant_id, session_id, candidates)
    return candidates


def _images(folder: Path) -> Iterator[Candidate]:
    for filename in (entry.name for entry in folder_entries(folder, refusal=ScanError)):
        if filename.endswith(_IMAGE_EXTENSIONS):
            try:
                yield Candidate(BidsName.parse(filename), folder / filename)
            except CohortError:
                continue  # a file of another kind is none of our sequences


def _refuse_other_formats(folder: Path, sequence: str) -> None:
    """A sequence that is there in a format which nobody reads must not pass for a missing one."""
    for filename in (entry.name for entry in folder_entries(folder, refusal=ScanError)):
        stem, _, extension = filename.partition(".")
        if stem.endswith(f"_{sequence}") and f".{extension}" not in (*_IMAGE_EXTENSIONS, ".json"):
            fetch = extension.endswith(".dvc")
            raise ScanError(
                "its bytes were not fetched" if fetch else "only .nii and .nii.gz files are read",
                where=folder / filename,
                remedy="Fetch them with dvc pull." if fetch else "Convert it to .nii.gz.",
            )


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


def refuse_unknown_folders(root: Path, cohort_tables: CohortTables) -> None:
    """Folders that no table knows must not pass for nothing.

    Raises
    ------
    CohortError : a participant without a diagnosis, a session without days.
    """
    participants = set(cohort_tables.participants["participant_id"])
    known = cohort_tables.sessions
    sessions = set(zip(known["participant_id"], known["session_id"], strict=True))
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
    for entry in folder_entries(folder, refusal=CohortError):
        path = folder / entry.name
        if entry.name.startswith(f"{entity}-") and path.is_dir():
            try:
                label_of(entry.name, entity)
            except CohortError as error:
                raise CohortError(error.what, where=path, remedy=error.remedy) from None
            yield entry.name
