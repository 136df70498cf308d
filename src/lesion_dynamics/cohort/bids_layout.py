"""Reading a raw BIDS tree: ``sub-X/ses-Y/anat/sub-X_ses-Y_FLAIR.nii.gz`` and its tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from lesion_dynamics.cohort import tables
from lesion_dynamics.cohort.bids_name import BidsName, label_of
from lesion_dynamics.cohort.cohort import CohortTables, Exclusion, Scan
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
    refuse_unread(settings, read={"prepared", "reference_masks"})
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
    """
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
    for participant_id, session_id in sessions:
        try:
            images = _images(root, participant_id, session_id, required_sequences, required=True)
            images |= _images(root, participant_id, session_id, optional_sequences, required=False)
        except ScanError as error:
            exclusions.append(Exclusion(participant_id, session_id, error.what))
            continue
        mask = _reference_mask(settings, participant_id, session_id)
        scans.append(Scan(participant_id, session_id, images, reference_mask=mask))
    return scans, exclusions


def _reference_mask(settings: CohortSettings, participant_id: str, session_id: str) -> Path | None:
    if settings.reference_masks is None:
        return None
    name = BidsName.of_scan(participant_id, session_id, suffix="mask")
    path = name.having({"label": "L"}, suffix="mask").path_under(settings.reference_masks)
    return path if path.is_file() else None


def _images(
    root: Path, participant_id: str, session_id: str, sequences: tuple[str, ...], *, required: bool
) -> dict[str, Path]:
    """File of each sequence. The plain name wins; otherwise it must be the only candidate."""
    plain = BidsName.of_scan(participant_id, session_id, suffix="FLAIR")
    folder = root / plain.folder
    names = list(_image_names(folder))
    found: dict[str, Path] = {}
    for sequence in sequences:
        candidates = [name for name in names if name.suffix == sequence]
        exact = [name for name in candidates if name.entities == plain.entities]
        candidates = exact or candidates
        if len(candidates) > 1:
            listed = ", ".join(sorted(name.filename for name in candidates))
            raise ScanError(
                f"more than one {sequence} ({listed})", where=folder, remedy="Keep one."
            )
        if candidates:
            found[sequence] = folder / candidates[0].filename
        elif required:
            raise ScanError(
                f"no {sequence} in {folder.relative_to(root)}", where=folder, remedy="Restore it."
            )
    return found


def _image_names(folder: Path) -> Iterator[BidsName]:
    try:
        filenames = [entry.name for entry in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return
    for filename in filenames:
        if filename.endswith(_IMAGE_EXTENSIONS):
            try:
                yield BidsName.parse(filename)
            except CohortError:
                continue  # a file of another kind is none of our sequences


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
