"""Masks from outside as a version of their own: its identity, its number, its files.

An outside version is not put into MLflow's registry. What stands there can be loaded and run on
any cohort: it owns weights, preprocessing and an operating point. Masks that LST-AI or a rater
made are results on one cohort; an entry for them would promise a segmenter that nobody has. They
live where their like live, in the derivatives of their cohort, with ``outside_version.json`` as
their manifest: the tool and its version as the user gave them, the rule that made masks of its
files, and the SHA-256 of every file.

The number is the cohort's: the same files by the same tool, version and rule are the same
version, also when scans have been added or mended since; a file that changed, or is gone, makes
the next number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lesion_dynamics import __version__
from lesion_dynamics.atomic_files import hash_of_content, hash_of_file, write_json
from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.writing import write_mask
from lesion_dynamics.records.derivatives import BIDS_VERSION, ScanOutputs, write_bidsignore
from lesion_dynamics.settings.outside_masks import MaskRule
from lesion_dynamics.source_hash import hash_of_source

OUTSIDE_FILE = "outside_version.json"
_FORMAT = 1
_SOURCE = ("imaging", "lesions", "records/outside_version", "workflows/outside_masks")


@dataclass(frozen=True, slots=True)
class OutsideVersion:
    """Masks of one tool on one cohort.

    mask_hashes : SHA-256 of the tool's file of each scan, by ``sub-X ses-Y``.
    """

    name: str
    number: int
    tool: str
    tool_version: str
    rule: MaskRule
    mask_hashes: Mapping[str, str]

    @property
    def label(self) -> str:
        """``name/number``: what tables record."""
        return f"{self.name}/{self.number}"

    @property
    def folder_name(self) -> str:
        """``name-v<number>``: what derivatives folders are called."""
        return f"{self.name}-v{self.number}"

    @property
    def description(self) -> str:
        """What stands behind the label, in one sentence."""
        return f"{self.label} is {self.tool} {self.tool_version}, masks registered from outside"

    def write(self, folder: Path) -> None:
        """Write ``outside_version.json`` into ``folder``."""
        write_json(
            folder / OUTSIDE_FILE,
            {
                "Format": _FORMAT,
                "Name": self.name,
                "Number": self.number,
                "Tool": self.tool,
                "ToolVersion": self.tool_version,
                "Rule": self.rule.model_dump(mode="json"),
                "MaskHashes": dict(self.mask_hashes),
            },
        )

    def same_masks_as(self, later: OutsideVersion) -> bool:
        """Whether ``later`` holds all of these masks unchanged, made by the same tool and rule."""
        return (
            (self.tool, self.tool_version, self.rule)
            == (later.tool, later.tool_version, later.rule)
        ) and all(later.mask_hashes.get(scan) == sha for scan, sha in self.mask_hashes.items())


def read_outside_version(folder: Path) -> OutsideVersion | None:
    """The outside version of a derivatives folder; None where the folder is not one.

    Raises
    ------
    ModelVersionError : its file cannot be read.
    """
    path = folder / OUTSIDE_FILE
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return OutsideVersion(
            name=str(said["Name"]),
            number=int(said["Number"]),
            tool=str(said["Tool"]),
            tool_version=str(said["ToolVersion"]),
            rule=MaskRule.model_validate(said["Rule"]),
            mask_hashes={str(scan): str(sha) for scan, sha in said["MaskHashes"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelVersionError(
            f"this file cannot be read ({type(error).__name__})",
            where=path,
            remedy="Remove its folder and register the masks again.",
        ) from None


def numbered(version: OutsideVersion, cohort_folder: Path) -> OutsideVersion:
    """``version`` with its number: that of the same masks, else the next.

    version : its own number is not looked at.

    Raises
    ------
    ModelVersionError : a segmenter's outputs have this name.
    """
    number = 0
    for folder in sorted(cohort_folder.glob(f"{version.name}-v*")):
        match = re.fullmatch(re.escape(version.name) + r"-v([0-9]+)", folder.name, re.ASCII)
        if match is None or not folder.is_dir():
            continue
        known = read_outside_version(folder)
        if known is None:
            raise ModelVersionError(
                f"the name {version.name} belongs to a model version that infer.py ran",
                where=folder,
                remedy="Register the masks under another name.",
            )
        if known.same_masks_as(version):
            return _with_number(version, known.number)
        number = max(number, int(match[1]))
    return _with_number(version, number + 1)


def _with_number(version: OutsideVersion, number: int) -> OutsideVersion:
    return OutsideVersion(
        version.name, number, version.tool, version.tool_version, version.rule, version.mask_hashes
    )


def refuse_outside_folder(folder: Path) -> None:
    """Raise `ModelVersionError` if masks from outside were registered in ``folder``."""
    if (folder / OUTSIDE_FILE).is_file():
        raise ModelVersionError(
            "masks from outside are registered under this name and number",
            where=folder,
            remedy="Set output to another folder, or train under another name.",
        )


def outside_key(input_hashes: Mapping[str, str], version: OutsideVersion) -> str:
    """Hash of all that the outputs of a scan depend on."""
    return hash_of_content(
        {
            "source": hash_of_source(*_SOURCE),
            "inputs": dict(input_hashes),
            "model_version": version.label,
            "tool": [version.tool, version.tool_version],
            "rule": version.rule.model_dump(mode="json"),
        }
    )


def write_outside_scan(
    outputs: ScanOutputs,
    *,
    mask: Image,
    key: str,
    version: OutsideVersion,
    input_hashes: Mapping[str, str],
    measurements: Mapping[str, Any],
) -> None:
    """Write the mask and then its sidecar, which holds the key."""
    outputs.sidecar.unlink(missing_ok=True)
    write_mask(outputs.mask, mask)
    write_json(
        outputs.sidecar,
        {
            "ModelVersion": version.label,
            "Tool": version.tool,
            "ToolVersion": version.tool_version,
            "Rule": version.rule.model_dump(mode="json"),
            "InputHashes": dict(input_hashes),
            "Software": f"lesion-dynamics {__version__}",
            "Type": "Lesion",
            "Description": "Lesion mask made outside",
            "Resolution": "native FLAIR grid",
            "OutputHashes": {outputs.mask.name: hash_of_file(outputs.mask)},
            "Measurements": dict(measurements),
            "Key": key,
        },
    )


def write_outside_description(folder: Path, *, cohort: str, version: OutsideVersion) -> None:
    """``dataset_description.json`` of a derivative dataset, with the tool that generated it."""
    write_bidsignore(folder)
    measured = f"measured by lesion-dynamics {__version__}"
    write_json(
        folder / "dataset_description.json",
        {
            "Name": f"Lesions of cohort {cohort} by {version.label}",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [
                {
                    "Name": version.tool,
                    "Version": version.tool_version,
                    "Description": f"masks registered as {version.label}, {measured}",
                }
            ],
        },
    )
