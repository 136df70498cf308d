"""Brain masks: of skull-stripped images, and of whole heads (deepbet)."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import cc3d
import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.lesions.box import box_around

_PLAUSIBLE_ML = (300.0, 2600.0)
_DEEPBET_THRESHOLD = 0.5
_BACKGROUND_OF_BORDER = 0.5
"""Share of the image's outermost voxels that hold the background of a skull-stripped image."""


def brain_of(image: Image, *, skull_stripped: bool) -> Image:
    """The brain mask of a FLAIR; uint8 on its grid.

    Raises
    ------
    ScanError : no brain was found, or one of an impossible size.
    """
    mask = brain_of_stripped(image) if skull_stripped else brain_of_head(image)
    volume_ml = float(np.count_nonzero(mask.voxels)) * mask.voxel_volume_mm3 / 1000.0
    low, high = _PLAUSIBLE_ML
    if not low <= volume_ml <= high:
        raise _no_brain(f"the brain mask holds {volume_ml:.0f} ml, which no brain does")
    return mask


def brain_of_stripped(image: Image) -> Image:
    """Mask of a skull-stripped image: the largest body that differs from the background.

    The background is the most frequent value of the image's outermost voxels. Holes are filled:
    fluid may have the background's value.

    Returns
    -------
    uint8 on the image's grid.

    Raises
    ------
    ScanError : the image has no constant background, so it is not skull-stripped.
    """
    voxels = image.voxels
    border = np.concatenate(
        [voxels[(slice(None),) * axis + (end,)].ravel() for axis in range(3) for end in (0, -1)]
    )
    values, counts = np.unique(border, return_counts=True)
    if counts.max() < _BACKGROUND_OF_BORDER * border.size:
        raise _no_brain("the image counts as skull-stripped, but has no constant background")
    body = voxels != values[counts.argmax()]
    if not body.any():
        raise _no_brain("nothing differs from the background")
    box = box_around(body)
    mask = np.zeros(voxels.shape, dtype=np.uint8, order="F")
    # A copy as it lies in memory: a view would be labelled, and written back, across it.
    mask[box] = _largest_body_filled(body[box].copy(order="K"))
    return image.with_voxels(mask)


def _largest_body_filled(body: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest of the bodies that touch by faces, with everything that it encloses."""
    labels, count = cc3d.connected_components(body.view(np.uint8), connectivity=6, return_N=True)
    largest = 1
    if count > 1:
        sizes = np.bincount(labels.ravel(order="K"), minlength=count + 1)
        largest += int(sizes[1:].argmax())
    # Around it one voxel of background, which joins all of the outside.
    outside = np.pad(labels != largest, 1, constant_values=True)
    around = cc3d.connected_components(outside.view(np.uint8), connectivity=6)
    return np.asarray(around != around[0, 0, 0])[1:-1, 1:-1, 1:-1]


def brain_of_head(image: Image) -> Image:
    """Mask of the brain in a whole-head T1w or FLAIR image, by deepbet.

    Fisch et al. 2024, doi 10.1016/j.compbiomed.2024.108845; its weights lie in its package.

    Returns
    -------
    uint8 on the image's grid.

    Raises
    ------
    ScanError : no brain was found.
    """
    # deepbet works in canonical orientation, so the way there and back is kept.
    orientation = nib.io_orientation(image.affine)
    canonical = nib.apply_orientation(image.voxels.astype(np.float32), orientation)
    found = _deepbet(np.ascontiguousarray(canonical))
    back = nib.orientations.ornt_transform(nib.io_orientation(np.eye(4)), orientation)
    return image.with_voxels(np.ascontiguousarray(nib.apply_orientation(found, back)))


def _deepbet(canonical: NDArray[np.float32]) -> NDArray[np.uint8]:
    network = _deepbet_network()
    try:
        probability = network.run_model(canonical)
        mask = network.postprocess(probability > _DEEPBET_THRESHOLD)
    # Its own checks assert; without any foreground its argmax and its slices fail.
    except (AssertionError, IndexError, ValueError, RuntimeError) as error:
        raise _no_brain("deepbet found no brain") from error
    return np.asarray(mask, dtype=np.uint8)


@lru_cache(maxsize=1)
def _deepbet_network() -> Any:
    from deepbet.bet import BrainExtraction  # loads torch

    with warnings.catch_warnings():
        # torch deprecates TorchScript, the form in which deepbet ships its weights.
        warnings.simplefilter("ignore", DeprecationWarning)
        return BrainExtraction(no_gpu=True)


def _no_brain(what: str) -> ScanError:
    return ScanError(
        what,
        where="FLAIR",
        remedy="Look at the image; if it is skull-stripped, set cohort.prepared.skull_stripped, "
        "and if it is not, unset it.",
    )
