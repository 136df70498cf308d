"""The folder in which masks are corrected: what was laid out there, and how to open it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lesion_dynamics.atomic_files import write_json
from lesion_dynamics.errors import CohortError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.settings.cohort import CohortSettings

RECORD_FILE = "corrections.json"
IMAGE_FILE = "FLAIR.nii.gz"
MASK_FILE = "lesions.nii.gz"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class LaidOutScan:
    """One scan of the folder ``sub-X_ses-Y``.

    flair_sha256 : of the cohort's FLAIR when it was laid out.
    voxels_sha256 : `hash_of_voxels` of the model's mask; an editor writes other bytes for the
        same mask.
    """

    participant_id: str
    session_id: str
    flair_sha256: str
    voxels_sha256: str

    @property
    def folder_name(self) -> str:
        """``sub-X_ses-Y``."""
        return f"{self.participant_id}_{self.session_id}"


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A folder of scans from one model version."""

    model_version: str
    weights_sha256: str
    scans: tuple[LaidOutScan, ...]

    def write(self, folder: Path) -> None:
        """Write ``corrections.json``."""
        write_json(folder / RECORD_FILE, {"format": _FORMAT, **asdict(self)})


def without_labels(cohort: CohortSettings) -> CohortSettings:
    """The cohort for reading its scans: its folder of reference masks need not be there yet."""
    return cohort.model_copy(update={"reference_masks": None})


def hash_of_voxels(mask: Image) -> str:
    """SHA-256 of which voxels are lesion, and of the shape."""
    content = np.packbits(mask.voxels > 0).tobytes()
    return hashlib.sha256(repr(mask.shape).encode() + content).hexdigest()


def read_laid_out(folder: Path) -> LaidOut:
    """What lies in ``folder``.

    Raises
    ------
    CohortError : no such folder, or not one of ours.
    """
    path = folder / RECORD_FILE
    try:
        said: Mapping[str, object] = json.loads(path.read_text(encoding="utf-8"))
        if said["format"] != _FORMAT:
            raise ValueError(f"format {said['format']}")
        scans = said["scans"]
        assert isinstance(scans, list)
        return LaidOut(
            str(said["model_version"]),
            str(said["weights_sha256"]),
            tuple(LaidOutScan(**one) for one in scans),
        )
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise CohortError(
            f"this is no folder that lay-out-corrections wrote ({type(error).__name__})",
            where=path,
            remedy="Name the folder itself: it holds corrections.json and a folder a scan.",
        ) from None


def instructions(laid_out: LaidOut) -> str:
    """The README of the folder."""
    example = laid_out.scans[0].folder_name
    listed = "\n".join(f"- [ ] {scan.folder_name}" for scan in laid_out.scans)
    return f"""# Masks of {laid_out.model_version} to correct

Each folder holds a scan (`{IMAGE_FILE}`) and its lesion mask (`{MASK_FILE}`). Correct the mask and
save it **under the same name, in the same format**: 0 is background, 1 is lesion. Leave the FLAIR
as it is. A mask that is right already is left as it is.

| editor | open | save |
|---|---|---|
| ITK-SNAP | `itksnap -g {example}/{IMAGE_FILE} -s {example}/{MASK_FILE}` | Segmentation > Save |
| FSLeyes | `fsleyes {example}/{IMAGE_FILE} {example}/{MASK_FILE} -cm red -a 50`, \
Tools > Edit mode | Overlay > Save |
| 3D Slicer | add both files, `{MASK_FILE}` as Segmentation; Segment Editor | export as a binary \
label map over {MASK_FILE}, with the geometry of the FLAIR |

Then:

    lesion-dynamics take-corrections corrections=<this folder> corrected_by=<your code> cohort=...

Scans, most doubtful first:

{listed}
"""
