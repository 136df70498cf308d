"""Manifests: the same sound cohort, named by one table, damaged in the table or behind it."""

# ruff: noqa: E501 (a table: one entry, one line)
from __future__ import annotations

import shutil
from pathlib import Path

from tests.malformed.entry import Damage, Entry, flair
from tests.malformed.file_entries import cut
from tests.malformed.good_cohort import DAMAGED, SCANS, image_path

TABLE = "manifest.tsv"
HEADER = ["participant_id", "session_id", "diagnosis", "days_from_baseline", "FLAIR", "T1w"]
DAYS = {"ses-01": "0", "ses-02": "365"}


def manifest(damage: Damage, **cells: str) -> Damage:
    """Write the manifest, with other cells in the damaged scan's row, then do ``damage``."""

    def write(root: Path) -> None:
        lines = [HEADER]
        for key in SCANS:
            files = [image_path(root, key, name).relative_to(root) for name in ("FLAIR", "T1w")]
            diagnosis = "MS" if key[0] == "sub-a01" else "NMOSD"
            row = dict(zip(HEADER, [*key, diagnosis, DAYS[key[1]], *map(str, files)], strict=True))
            lines.append(list((row | cells if key == DAMAGED else row).values()))
        text = "".join("\t".join(line) + "\n" for line in lines)
        (root / TABLE).write_text(text, encoding="utf-8")
        damage(root)

    return write


def nothing(_: Path) -> None:
    """The manifest's cells are damage enough."""


def refused(name: str, damage: Damage, says: str, way_out: str) -> Entry:
    return Entry(name, damage, "refused", TABLE, says, way_out, cohort="manifest")


def excluded(name: str, damage: Damage, file: str, says: str, way_out: str) -> Entry:
    return Entry(name, damage, "excluded", file, says, way_out, cohort="manifest")


def moved_away(root: Path) -> None:
    """Files may lie anywhere; only the table says where."""
    (root.parent / "archive").mkdir()
    shutil.move(flair(root), root.parent / "archive/scan.nii.gz")


def scans_of(root: Path, old: str, new: str) -> None:
    table = root / TABLE
    content = table.read_text(encoding="utf-8")
    assert old in content
    table.write_text(content.replace(old, new), encoding="utf-8")


CORRECT = "Correct the row, or take it out"
NAME = "sub-a01_ses-02_FLAIR.nii.gz"

MANIFESTS = [
    Entry("manifest", manifest(nothing), "read", cohort="manifest"),
    Entry("manifest of files elsewhere", manifest(moved_away, FLAIR="../archive/scan.nii.gz"), "read", cohort="manifest"),
    refused("no manifest", nothing, "is missing", "Write it, with the columns"),
    refused("manifest with an id that leaves the folder", manifest(nothing, participant_id="sub-../../x"), "'sub-../../x' is not a BIDS id", "Write it as sub-01"),
    refused("manifest with a session that leaves the folder", manifest(nothing, session_id="ses-/etc"), "not a BIDS id", "Write it as ses-01"),
    refused("manifest with a date", manifest(nothing, days_from_baseline="2021-03-04"), "row 2, column days_from_baseline", "Write a number"),
    refused("manifest with impossible days", manifest(nothing, days_from_baseline="20210304"), "-100000 to 100000", "Write a number"),
    refused("manifest with two diagnoses", manifest(nothing, diagnosis="NMOSD"), "row 2, column diagnosis", "Correct one of the two"),
    refused("manifest with a scan twice", manifest(nothing, session_id="ses-01"), "row 2, column session_id", "Keep one row"),
    refused("manifest without a FLAIR column", manifest(lambda r: scans_of(r, "\tFLAIR\t", "\tflair\t")), "column FLAIR is missing", "separated by tabs"),
    refused("manifest in UTF-16", manifest(lambda r: (r / TABLE).write_bytes((r / TABLE).read_text().encode("utf-16"))), "not UTF-8", "UTF-8"),
    refused("manifest that is a folder", lambda r: (r / TABLE).mkdir(), "a folder stands here", "put the file in its place"),
    excluded("manifest with a file that is gone", manifest(lambda r: flair(r).unlink()), NAME, "row 2, column FLAIR", CORRECT),
    excluded("manifest without a file", manifest(nothing, FLAIR="n/a"), "row 2", "no FLAIR", CORRECT),
    excluded("manifest that names a folder", manifest(nothing, FLAIR="sub-a01"), "sub-a01: only", ".nii and .nii.gz", "Convert"),
    excluded("manifest that names its table", manifest(nothing, FLAIR=TABLE), TABLE, "only .nii and .nii.gz", "Convert"),
    excluded("manifest that names half a file", manifest(lambda r: cut(flair(r), 0.5)), NAME, "ends before its image", "scan again"),
    excluded("manifest that names a pair", manifest(lambda r: flair(r).rename(r / "scan.img"), FLAIR="scan.img"), "scan.img", "only .nii and .nii.gz", "Convert"),
    excluded("manifest that names a file of a file", manifest(nothing, FLAIR=f"{TABLE}/x.nii.gz"), f"{TABLE}/x.nii.gz", "row 2, column FLAIR", CORRECT),
    excluded("manifest that names one file of 300 letters", manifest(nothing, FLAIR="x" * 300 + ".nii.gz"), "xxx.nii.gz", "row 2, column FLAIR", CORRECT),
]  # fmt: skip
