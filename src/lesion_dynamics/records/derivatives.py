"""Inference's outputs as BIDS derivatives, and the ledger that says which are up to date.

A scan's sidecar is written last and holds a key: the hash of the input bytes, of the model
version and of the code, together with the hashes of the files written. A scan
is done only if its sidecar has the key that would be computed now and the files have the hashes
that it names; that a file is there is not enough.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lesion_dynamics import __version__
from lesion_dynamics.atomic_files import hash_of_content, hash_of_file, write_json, write_text
from lesion_dynamics.cohort.bids_name import BidsName
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.writing import write_side_by_side
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.records.mni_outputs import InMni, write_in_mni
from lesion_dynamics.source_hash import hash_of_source

BIDS_VERSION = "1.10.0"
_SOURCE = (
    "imaging",
    "lesions",
    "preprocessing",
    "records/derivatives",
    "records/mni_outputs",
    "segmenter",
    "settings/networks",
    "settings/preprocessing",
    "settings/segmenter",
    "workflows/inference_worker",
    "workflows/scan_geometry",
    "workflows/scan_segmentation",
)
_LESION = {"label": "L"}
_NOT_IN_BIDS = (
    "*.tsv", "*.parquet", "exclusions.json", "outside_version.json", "repeatability.*",
    "quality.json", "*_quality.json", "lesions.json", "lesion_intervals.json",
    "lesion_maps.json", "lineage.json", "lineage_*.json", "*_xfm.*", "quality", "pages", "group",
    "repeatability",
)  # fmt: skip
"""What lies beside the masks and has no place in BIDS: validators leave it alone.

Folders have no slash behind them: the validator takes ``pages/`` for the files in it alone.
"""


@dataclass(frozen=True, slots=True)
class ScanOutputs:
    """Where the files of one scan go, below the derivatives folder of one model version."""

    mask: Path
    probability: Path
    sidecar: Path
    probability_sidecar: Path

    @classmethod
    def of(cls, participant_id: str, session_id: str, folder: Path) -> ScanOutputs:
        """``sub-X/ses-Y/anat/sub-X_ses-Y_label-L_{mask,probseg}.{nii.gz,json}``."""
        name = BidsName.of_scan(participant_id, session_id, suffix="FLAIR")

        def path(suffix: str, extension: str) -> Path:
            return name.having(_LESION, suffix=suffix, extension=extension).path_under(folder)

        return cls(
            mask=path("mask", ".nii.gz"),
            probability=path("probseg", ".nii.gz"),
            sidecar=path("mask", ".json"),
            probability_sidecar=path("probseg", ".json"),
        )


def scan_key(input_hashes: Mapping[str, Any], version: ModelVersion) -> str:
    """Hash of all that the outputs of a scan depend on."""
    return hash_of_content(
        {
            "source": hash_of_source(*_SOURCE),
            "inputs": dict(input_hashes),
            "model_version": version.label,
            "weights_sha256": version.manifest.weights_sha256,
            "segmenter": version.manifest.segmenter.model_dump(mode="json"),
            "operating_point": version.manifest.operating_point.model_dump(mode="json"),
        }
    )


def finished_row(
    outputs: ScanOutputs, key: str, *, hash_of: Callable[[Path], str] = hash_of_file
) -> dict[str, Any] | None:
    """The measurements of a scan that is done and unchanged, else None.

    hash_of : SHA-256 of a file, perhaps from an index.
    """
    try:
        sidecar = json.loads(outputs.sidecar.read_text(encoding="utf-8"))
        if sidecar["Key"] != key:
            return None
        written: dict[str, str] = sidecar["OutputHashes"]
        if outputs.mask.name not in written:
            return None
        for name, written_hash in written.items():
            if hash_of(outputs.mask.with_name(name)) != written_hash:
                return None
        row: dict[str, Any] = sidecar["Measurements"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return row


def write_scan(
    outputs: ScanOutputs,
    *,
    mask: Image,
    probability: Image,
    key: str,
    version: ModelVersion,
    input_hashes: Mapping[str, Any],
    measurements: Mapping[str, Any],
    preprocessing: Mapping[str, Any],
    in_mni: InMni | None = None,
    engine: str | None = None,
) -> None:
    """Write probability, mask and sidecars; the mask's sidecar, which holds the key, last.

    engine : what ran the network. It is no part of the key: engines agree to a few voxels, and a
    cohort that was begun on one machine goes on on another.
    """
    outputs.sidecar.unlink(missing_ok=True)
    write_side_by_side(outputs.mask, mask, outputs.probability, probability)
    written = [outputs.mask, outputs.probability]
    if in_mni is not None:
        written += write_in_mni(outputs.mask, in_mni)
    point = version.manifest.operating_point
    origin = {
        "ModelVersion": version.label,
        "WeightsSHA256": version.manifest.weights_sha256,
        "InputHashes": dict(input_hashes),
        "Software": f"lesion-dynamics {__version__}",
    }
    if engine is not None:
        origin["Engine"] = engine
    write_json(
        outputs.probability_sidecar,
        {**origin, "Description": "Lesion probability, 0 to 1", "Resolution": "native FLAIR grid"},
    )
    write_json(
        outputs.sidecar,
        {
            **origin,
            "Type": "Lesion",
            "Description": "Lesion mask",
            "Resolution": "native FLAIR grid",
            "OperatingPoint": point.model_dump(mode="json"),
            "Preprocessing": dict(preprocessing),
            "OutputHashes": {p.name: hash_of_file(p) for p in written},
            "Measurements": dict(measurements),
            "Key": key,
        },
    )


def write_bidsignore(folder: Path) -> None:
    """``.bidsignore``: with it a BIDS validator accepts the folder."""
    write_text(folder / ".bidsignore", "".join(f"{pattern}\n" for pattern in _NOT_IN_BIDS))


def write_dataset_description(folder: Path, *, cohort: str, version: ModelVersion) -> None:
    """``dataset_description.json`` of a derivative dataset, with what generated it."""
    write_bidsignore(folder)
    write_json(
        folder / "dataset_description.json",
        {
            "Name": f"Lesions of cohort {cohort} by {version.label}",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [
                {
                    "Name": "lesion-dynamics",
                    "Version": __version__,
                    "Description": f"model version {version.label}, "
                    f"weights SHA-256 {version.manifest.weights_sha256}",
                }
            ],
        },
    )
