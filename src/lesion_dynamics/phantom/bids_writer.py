"""The phantom's files as BIDS 1.10."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lesion_dynamics import atomic_files
from lesion_dynamics.cohort.bids_name import BidsName
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.writing import write_intensities, write_mask
from lesion_dynamics.phantom.protocol import Protocol

_BIDS_VERSION = "1.10.0"
_GENERATOR = {"Name": "lesion-dynamics phantom", "Version": "1"}
_README = """# A synthetic cohort

Nobody was scanned: anatomy from the MNI152 template (ICBM 2009a, as nilearn ships it) under an
own deformation per participant, lesions and scanners drawn from a seed. The images are
skull-stripped. Not for any clinical use.
"""
_TIMES_S = {
    "FLAIR": {"EchoTime": 0.38, "RepetitionTime": 5.0, "InversionTime": 1.65},
    "T1w": {"EchoTime": 0.003, "RepetitionTime": 2.3, "InversionTime": 0.9},
}
_PARTICIPANT_COLUMNS = {
    "diagnosis": {
        "Description": "Clinical diagnosis",
        "Levels": {
            "MS": "multiple sclerosis",
            "NMOSD": "AQP4 antibody positive neuromyelitis optica spectrum disorder",
        },
    },
    "age": {"Description": "Age at the first session", "Units": "year"},
    "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
    "scanner": {"Description": "Scanner of the first session"},
}
_SESSION_COLUMNS = {
    "days_from_baseline": {"Description": "Days since the first session", "Units": "day"},
    "scanner": {"Description": "Scanner of the session"},
}
_ATTACK_COLUMNS = {
    "MeasurementToolMetadata": {
        "Description": "Clinical attacks (relapses) as recorded",
    },
    "attack_id": {"Description": "Number of the attack within the participant"},
    "days_from_baseline": {
        "Description": "Days since the first session; negative before it; n/a = date unknown",
        "Units": "day",
    },
}


def scan_path(root: Path, participant_id: str, session_id: str, sequence: str) -> Path:
    """Path of one sequence of one scan."""
    return BidsName.of_scan(participant_id, session_id, suffix=sequence).path_under(root)


def mask_path(root: Path, participant_id: str, session_id: str) -> Path:
    """Path of the lesion mask of one scan below a folder of derivatives."""
    scan = BidsName.of_scan(participant_id, session_id, suffix="FLAIR")
    return scan.having({"label": "L"}, suffix="mask").path_under(root)


def sidecar_path(image: Path) -> Path:
    """Path of the JSON beside an image."""
    return image.with_name(image.name.removesuffix(".nii.gz") + ".json")


def write_scan(
    root: Path,
    participant_id: str,
    session_id: str,
    images: Mapping[str, Image],
    protocol: Protocol,
) -> None:
    """Write every sequence with its sidecar."""
    for sequence, image in images.items():
        path = scan_path(root, participant_id, session_id, sequence)
        sidecar: dict[str, Any] = {
            **_TIMES_S[sequence],
            "MagneticFieldStrength": protocol.field_strength_t,
            "Manufacturer": protocol.manufacturer,
            "ManufacturersModelName": protocol.scanner,
            "SkullStripped": True,
            "SliceThickness": round(image.voxel_sizes_mm[2], 3),
        }
        atomic_files.write_json(sidecar_path(path), sidecar)
        write_intensities(path, image)


def write_reference_mask(
    path: Path, mask: Image, *, source: str, facts: Mapping[str, Any] | None = None
) -> None:
    """Write a reference mask with its sidecar; the mask last, as proof that both are there.

    source : the FLAIR, below the root of the raw cohort. facts : further sidecar entries.
    """
    sidecar = {
        **(facts or {}),
        "Type": "Lesion",
        "Sources": [f"bids:raw:{source}"],
        "SpatialReference": f"bids:raw:{source}",
        "Description": "Voxels with a true lesion fraction of at least 0.5",
    }
    atomic_files.write_json(sidecar_path(path), sidecar)
    write_mask(path, mask)


def write_description(root: Path, *, name: str, raw: str | None = None) -> None:
    """Write ``dataset_description.json`` and README.

    raw : for derivatives, the relative path of the raw cohort.
    """
    description: dict[str, Any] = {
        "Name": name,
        "BIDSVersion": _BIDS_VERSION,
        "DatasetType": "raw" if raw is None else "derivative",
        "License": "CC0",
        "Authors": ["The authors of lesion-dynamics"],
        "GeneratedBy": [_GENERATOR],
    }
    if raw is not None:
        description["DatasetLinks"] = {"raw": raw}
    atomic_files.write_json(root / "dataset_description.json", description)
    atomic_files.write_text(root / "README.md", _README)


def write_participants(root: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write ``participants.tsv`` and its column descriptions."""
    columns = ("participant_id", "diagnosis", "age", "sex", "scanner")
    write_table(root / "participants.tsv", columns, rows)
    atomic_files.write_json(root / "participants.json", _PARTICIPANT_COLUMNS)


def write_sessions(root: Path, participant_id: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Write ``sub-X/sub-X_sessions.tsv`` and its column descriptions."""
    stem = root / participant_id / f"{participant_id}_sessions"
    write_table(stem.with_suffix(".tsv"), ("session_id", "days_from_baseline", "scanner"), rows)
    atomic_files.write_json(stem.with_suffix(".json"), _SESSION_COLUMNS)


def write_attacks(root: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write ``phenotype/attacks.tsv`` and its column descriptions.

    BIDS allows one row a participant in a phenotype table, attacks need several: the validator
    is told to leave this table alone.
    """
    atomic_files.write_text(root / ".bidsignore", "phenotype/attacks.*\n")
    columns = ("participant_id", "attack_id", "days_from_baseline")
    write_table(root / "phenotype" / "attacks.tsv", columns, rows)
    atomic_files.write_json(root / "phenotype" / "attacks.json", _ATTACK_COLUMNS)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows as TSV; a missing value is ``n/a``."""
    lines = ["\t".join(columns)]
    lines += ["\t".join(_cell(row.get(column)) for column in columns) for row in rows]
    atomic_files.write_text(path, "\n".join(lines) + "\n")


def _cell(value: object) -> str:
    return "n/a" if value is None or value == "" else str(value)
