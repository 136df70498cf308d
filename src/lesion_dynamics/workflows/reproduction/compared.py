"""The release and its reproduction, byte by byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lesion_dynamics.atomic_files import hash_of_file
from lesion_dynamics.model_version import MANIFEST_FILE, WEIGHTS_FILE, load_manifest
from lesion_dynamics.records.lineage_file import read_lineage
from lesion_dynamics.workflows.reproduction.recorded import Recorded, measured_folder


@dataclass(frozen=True, slots=True)
class Pair:
    """One file of the release. first: its SHA-256 there; second: here again, None: not made."""

    kind: str
    name: str
    first: str
    second: str | None

    @property
    def same(self) -> bool:
        """Whether the bytes are the same."""
        return self.first == self.second


def weights_pairs(recorded: Recorded, trained: Path) -> list[Pair]:
    """The training's key (settings, scans, code) and its weights."""
    manifest = recorded.version.manifest
    again = load_manifest(trained)
    key, key_again = (str(one.training.get("key")) for one in (manifest, again))
    return [
        Pair("training key", MANIFEST_FILE, key, key_again),
        Pair("weights", WEIGHTS_FILE, manifest.weights_sha256, again.weights_sha256),
    ]


def measured_pairs(recorded: Recorded, again: Path) -> list[Pair]:
    """Tables and masks of the cohort; a table as its lineage recorded it, where it did."""
    folder = measured_folder(recorded)
    assert folder is not None
    lineage = read_lineage(folder)
    outputs: dict[str, str] = {} if lineage is None else lineage["record"]["outputs_sha256"]
    made = {path.name for path in again.glob("*.tsv")}
    tables = [path for path in sorted(folder.glob("*.tsv")) if path.name in made]
    masks = sorted(folder.glob("sub-*/**/*_label-L_mask.nii.gz"))
    return [
        *(_pair("volumes", one, folder, again, outputs.get(one.name)) for one in tables),
        *(_pair("mask", one, folder, again) for one in masks),
    ]


def study_pairs(recorded: Recorded, again: Path) -> list[Pair]:
    """Everything that the analysis recorded: tables, text and pictures."""
    folder = recorded.results
    assert folder is not None
    lineage = read_lineage(folder)
    assert lineage is not None, "looked at before anything was begun"
    outputs: dict[str, str] = lineage["record"]["outputs_sha256"]
    return [_pair("study", folder / name, folder, again, sha) for name, sha in outputs.items()]


def _pair(kind: str, path: Path, folder: Path, again: Path, sha256: str | None = None) -> Pair:
    other = again / path.relative_to(folder)
    first = hash_of_file(path) if sha256 is None else sha256
    name = path.relative_to(folder).as_posix()
    return Pair(kind, name, first, hash_of_file(other) if other.is_file() else None)
