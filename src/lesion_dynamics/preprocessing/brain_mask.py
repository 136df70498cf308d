"""Brain masks: of skull-stripped images, and of whole heads (deepbet)."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.image import Image

_PLAUSIBLE_ML = (300.0, 2600.0)
_DEEPBET_THRESHOLD = 0.5


def brain_of_stripped(image: Image) -> Image:
    """Mask of a skull-stripped image: what differs from the background, holes filled.

    The background is the value of the image's corner.

    Returns
    -------
    uint8 on the image's grid.
    """
    filled = ndimage.binary_fill_holes(image.voxels != image.voxels[0, 0, 0])
    return image.with_voxels(np.asarray(filled, dtype=np.uint8))


def brain_of_head(image: Image) -> Image:
    """Mask of the brain in a whole-head T1w or FLAIR image, by deepbet.

    Fisch et al. 2024, doi 10.1016/j.compbiomed.2024.108845; its weights lie in its package.

    Returns
    -------
    uint8 on the image's grid.

    Raises
    ------
    ScanError : no brain was found, or one of an impossible size.
    """
    import nibabel as nib
    from deepbet.bet import BrainExtraction  # loads torch

    # deepbet works in canonical orientation, so the way there and back is kept.
    ornt = nib.io_orientation(image.affine)
    canonical = nib.apply_orientation(image.voxels.astype(np.float32), ornt)
    network = BrainExtraction(no_gpu=True)
    try:
        found = network.run_model(np.ascontiguousarray(canonical)) > _DEEPBET_THRESHOLD
        mask = network.postprocess(found)
    except (AssertionError, IndexError) as error:
        raise _no_brain("deepbet found no brain") from error
    back = nib.orientations.ornt_transform(nib.io_orientation(np.eye(4)), ornt)
    native = nib.apply_orientation(np.asarray(mask, dtype=np.uint8), back)
    result = image.with_voxels(np.ascontiguousarray(native))
    _require_plausible_size(result)
    return result


def brain_of(image: Image, *, skull_stripped: bool) -> Image:
    """The brain mask of a FLAIR; uint8 on its grid."""
    if not skull_stripped:
        return brain_of_head(image)
    mask = brain_of_stripped(image)
    _require_plausible_size(mask)
    return mask


def _require_plausible_size(mask: Image) -> None:
    volume_ml = float((mask.voxels > 0).sum()) * mask.voxel_volume_mm3 / 1000.0
    low, high = _PLAUSIBLE_ML
    if not low <= volume_ml <= high:
        raise _no_brain(f"the brain mask holds {volume_ml:.0f} ml, which no brain does")


def _no_brain(what: str) -> ScanError:
    return ScanError(
        what,
        where="FLAIR",
        remedy="Look at the image; if it is skull-stripped, set cohort.prepared.skull_stripped, "
        "and if it is not, unset it.",
    )
