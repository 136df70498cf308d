"""A scan's lesion mask in MNI space and the way there, as BIDS derivatives.

Beside the native mask: the mask on the template's 1 mm grid, and the transforms in the formats
that ITK, ANTs and greedy read (LPS): an affine ``xfm.txt`` and displacement fields. They lead
between MNI space and the participant's space, the FLAIR's world moved by
`ParticipantSpaceFromFLAIR` of the mask's sidecar.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lesion_dynamics.atomic_files import write_json, write_text
from lesion_dynamics.cohort.bids_name import BidsName
from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.writing import write_displacement, write_mask
from lesion_dynamics.preprocessing.mni import SPACE, MniTransform

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True)
class InMni:
    """mask : uint8 in MNI space. transform : MNI space to the participant's, and back."""

    mask: Image
    transform: MniTransform


def write_in_mni(native_mask: Path, found: InMni) -> list[Path]:
    """Write everything beside the native mask; returns what was written."""
    name = BidsName.parse(native_mask.name)
    transform = found.transform

    def path(entities: dict[str, str], suffix: str, extension: str) -> Path:
        kept = {**name.entities, **entities}
        return native_mask.with_name(BidsName(kept, suffix, extension).filename)

    mask = path({"space": SPACE}, "mask", ".nii.gz")
    write_mask(mask, found.mask)
    sidecar = mask.with_name(mask.name.removesuffix(".nii.gz") + ".json")
    write_json(
        sidecar,
        {
            "Type": "Lesion",
            "Description": "Lesion mask, resampled once from the native FLAIR grid",
            "SpatialReference": f"{SPACE}, 1 mm, as nilearn ships it",
            "Deformable": transform.warp is not None,
            "ParticipantSpaceFromMNI": transform.participant_from_mni.tolist(),
        },
    )
    folder, stem = (
        mask.parent,
        "_".join(f"{key}-{name.entities[key]}" for key in ("sub", "ses") if key in name.entities),
    )
    to_participant = folder / f"{stem}_from-{SPACE}_to-participant_mode-points_xfm.txt"
    write_text(to_participant, itk_affine(transform.participant_from_mni))
    written = [mask, to_participant]
    for there, warp in (("warp", transform.warp), ("inversewarp", transform.inverse_warp)):
        if warp is not None:
            file = folder / f"{stem}_space-{SPACE}_desc-{there}_xfm.nii.gz"
            write_displacement(file, warp.displacement_mm, warp.affine)
            written.append(file)
    return written


def itk_affine(matrix: Affine) -> str:
    """An ITK text transform of a (4, 4) map of points, RAS+ mm."""
    lps = _LPS_FROM_RAS @ matrix @ _LPS_FROM_RAS
    numbers = " ".join(f"{value:.12g}" for value in (*lps[:3, :3].ravel(), *lps[:3, 3]))
    return (
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        f"Parameters: {numbers}\nFixedParameters: 0 0 0\n"
    )
