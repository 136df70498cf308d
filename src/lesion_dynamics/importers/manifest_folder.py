"""Writing an imported cohort: a manifest that points at upstream's files, and where it is from.

``manifest.tsv`` comes last, so a folder that has one is whole. No image is copied: paths lead to
upstream's files, relative to the manifest, so both can move together. Masks that upstream has in
another form are written below ``masks/``; masks of change stand in ``lesion_changes.tsv``.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lesion_dynamics import __version__
from lesion_dynamics.atomic_files import require_writable_folder, write_json, write_text
from lesion_dynamics.cohort.bids_name import BidsName
from lesion_dynamics.cohort.manifest_table import COLUMNS, FILES, FLAGS, MASK
from lesion_dynamics.errors import CohortError, OutputError
from lesion_dynamics.imaging.writing import write_mask
from lesion_dynamics.importers.imported_cohort import (
    ConvertedMask,
    ImportedCohort,
    ImportedScan,
)
from lesion_dynamics.importers.mask_conversion import converted

MANIFEST = "manifest.tsv"
CHANGES = "lesion_changes.tsv"
SOURCE = "source.json"
README = "README.md"
MASKS = "masks"
_MISSING = "n/a"


def write_manifest_folder(cohort: ImportedCohort, folder: Path, *, upstream: Path) -> Path:
    """Write everything; the same import gives the same bytes.

    Parameters
    ----------
    upstream : the dataset's folder; nothing is written there.

    Returns
    -------
    The manifest.

    Raises
    ------
    OutputError : ``folder`` is upstream's own, or holds something else, or cannot be written.
    CohortError : two scans of one id.
    ScanError : a mask that has to be converted cannot be.
    """
    _refuse_folder(folder, upstream, cohort.dataset.name)
    _refuse_twins(cohort.scans)
    require_writable_folder(folder)
    if (folder / SOURCE).is_file():
        _clear_earlier_import(folder)
    about = _about(cohort)
    write_json(folder / SOURCE, about)
    rows = [_row(scan, folder) for scan in cohort.scans]
    if cohort.changes:
        header = ("participant_id", "start_session_id", "end_session_id", "change_mask")
        changes = [
            (c.participant_id, c.start_session_id, c.end_session_id, _relative(c.path, folder))
            for c in cohort.changes
        ]
        _write_tsv(folder / CHANGES, header, changes)
    write_text(folder / README, _readme(cohort, about))
    _write_tsv(folder / MANIFEST, COLUMNS, rows)
    return folder / MANIFEST


def _clear_earlier_import(folder: Path) -> None:
    """Of the same dataset, perhaps with other options: its masks must not stay behind."""
    for name in (MANIFEST, CHANGES, README):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / MASKS, ignore_errors=True)


def _row(scan: ImportedScan, folder: Path) -> list[str]:
    files = {name: _relative(path, folder) for name, path in scan.images.items()}
    if isinstance(scan.reference_mask, ConvertedMask):
        name = BidsName.of_scan(scan.participant_id, scan.session_id, suffix="mask")
        path = name.having({"label": "L"}, suffix="mask").path_under(folder / MASKS)
        write_mask(path, converted(scan.reference_mask))
        files[MASK] = _relative(path, folder)
    elif scan.reference_mask is not None:
        files[MASK] = _relative(scan.reference_mask, folder)
    cells = {
        "participant_id": scan.participant_id,
        "session_id": scan.session_id,
        "diagnosis": scan.diagnosis,
        "days_from_baseline": _number(scan.days),
        "age": _number(scan.age_years),
        "sex": scan.sex or _MISSING,
        **{name: files.get(name, _MISSING) for name in FILES},
        **{name: str(getattr(scan.prepared, name)).lower() for name in FLAGS},
    }
    return [cells.get(column, _MISSING) for column in COLUMNS]


def _number(value: float | None) -> str:
    return _MISSING if value is None else f"{value:g}"


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def _write_tsv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    write_text(path, "".join("\t".join(row) + "\n" for row in (header, *rows)))


def _about(cohort: ImportedCohort) -> dict[str, Any]:
    dataset = cohort.dataset
    return {
        "Dataset": dataset.name,
        "Licence": dataset.licence,
        "Citation": dataset.citation,
        "Homepage": dataset.homepage,
        "LayoutDocumentedIn": list(dataset.layout_sources),
        "Rules": list(dataset.rules),
        "Participants": len({scan.participant_id for scan in cohort.scans}),
        "Scans": len(cohort.scans),
        "ScansWithReferenceMask": sum(s.reference_mask is not None for s in cohort.scans),
        "ScansWithoutDay": sum(scan.days is None for scan in cohort.scans),
        "LeftOut": [
            {"participant_id": o.participant_id, "session_id": o.session_id, "reason": o.reason}
            for o in cohort.left_out
        ],
        "ImportedBy": f"lesion-dynamics {__version__}",
    }


def _readme(cohort: ImportedCohort, about: dict[str, Any]) -> str:
    rules = "\n".join(f"- {rule}" for rule in about["Rules"])
    alignment = cohort.dataset.session_alignment
    return f"""# {about["Dataset"]}

{about["Participants"]} participants, {about["Scans"]} scans, \
{about["ScansWithReferenceMask"]} with a reference mask, {about["ScansWithoutDay"]} without a day, \
{len(about["LeftOut"])} left out (source.json names them). The images stay where upstream's files
are; manifest.tsv points at them.

Licence: {about["Licence"]}.
Cite: {about["Citation"]}.
From: {about["Homepage"]}

What the import decided:

{rules}

Use it:

    python infer.py cohort=manifest cohort.name=NAME cohort.root=THIS_FOLDER \\
      cohort.session_alignment={alignment} model_version=lesion-segmenter/1
"""


def _refuse_folder(folder: Path, upstream: Path, dataset: str) -> None:
    if folder.resolve() == upstream.resolve():
        raise OutputError(
            "this is upstream's own folder, which stays as it is",
            where=folder,
            remedy="Name another folder for the manifest.",
        )
    source = folder / SOURCE
    if source.is_file():
        try:
            before = json.loads(source.read_text(encoding="utf-8"))["Dataset"]
        except (OSError, ValueError, KeyError, TypeError):
            before = "something else"
        if before != dataset:
            raise OutputError(
                f"this folder holds the import of {before}",
                where=folder,
                remedy="Name another folder, or empty this one.",
            )
    foreign = [name for name in (MANIFEST, CHANGES, README) if (folder / name).exists()]
    if foreign and not source.is_file():
        raise OutputError(
            f"this folder has a {foreign[0]} that no import wrote",
            where=folder,
            remedy="Name another folder, or move that file away.",
        )


def _refuse_twins(scans: Sequence[ImportedScan]) -> None:
    seen: dict[tuple[str, str], ImportedScan] = {}
    for scan in scans:
        key = (scan.participant_id, scan.session_id)
        if key in seen:
            files = [one.images["FLAIR"].name for one in (seen[key], scan)]
            raise CohortError(
                f"two scans would be {' '.join(key)}: {files[0]} and {files[1]}",
                where=scan.images["FLAIR"].parent,
                remedy="Import the parts apart, or tell names apart with --case-id (nnunet).",
            )
        seen[key] = scan
