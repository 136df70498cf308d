"""To MNI152 space and back: affine, and deformable where the map of lesions needs it.

The template is ICBM 2009a nonlinear symmetric (Fonov et al. 2011,
doi 10.1016/j.neuroimage.2010.07.033), as nilearn ships it: a skull-stripped T1w with maps of
grey and white matter. Lesions are masked out of the metric (cost-function masking, Brett et
al. 2001, doi 10.1006/nimg.2001.0845): else the registration pulls healthy tissue into them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan
from lesion_dynamics.preprocessing.registration import (
    affine_registration,
    laid,
    run_greedy,
    start_of_other_session,
    with_margin,
)
from lesion_dynamics.preprocessing.resampling import Interpolation
from lesion_dynamics.preprocessing.rigid_motion import inverse
from lesion_dynamics.preprocessing.transform import Step, Warp, resample_through

SPACE = "MNI152NLin2009aSym"
"""The template's name in BIDS derivatives (as TemplateFlow has it)."""

MniKind = Literal["affine", "deformable"]

_METRIC = "NCC 2x2x2"
_AFFINE_ITERATIONS = (100, 60, 20)  # at 8, 4 and 2 mm
_WARP_ITERATIONS = "60x40x20"
_REGISTERED_AT_MM = 2
_WRITTEN_AT_MM = 1
_LESION_MARGIN_MM = 2.0
"""Around lesions: their dim border belongs to no tissue of the template either."""
_FILL_WIDTH_MM = 4.0
_NO_TISSUE = 1e-3
_FLAIR_GREY, _FLAIR_WHITE, _FLAIR_FLUID = 1.2, 1.0, 0.2
_LPS_RAS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True, slots=True)
class MniTransform:
    """MNI space to the participant's space, and back.

    participant_from_mni : (4, 4), after the warp. warp : in MNI space; None where affine only.
    inverse_warp : the way back, greedy's own.
    """

    participant_from_mni: Affine
    warp: Warp | None = None
    inverse_warp: Warp | None = None

    @property
    def steps_to_participant(self) -> tuple[Step, ...]:
        """MNI world to participant space."""
        before = () if self.warp is None else (self.warp,)
        return (*before, self.participant_from_mni)

    @property
    def steps_to_mni(self) -> tuple[Step, ...]:
        """Participant space to MNI world."""
        after = () if self.inverse_warp is None else (self.inverse_warp,)
        return (inverse(self.participant_from_mni), *after)


@dataclass(frozen=True, slots=True)
class MniTemplate:
    """The template's brain as T1w and as a FLAIR would show it, and its mask; one grid."""

    t1w: Image
    flair: Image
    brain: Image


@lru_cache(maxsize=2)
def mni_template(spacing_mm: int) -> MniTemplate:
    """The template at 1 mm, or coarser."""
    from nilearn import datasets  # slow to import, and rarely needed

    template = datasets.load_mni152_template(resolution=spacing_mm)
    grey, white = (
        np.asarray(load(resolution=spacing_mm).dataobj, dtype=np.float32)
        for load in (datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
    )
    t1w = np.asarray(template.dataobj, dtype=np.float32)
    affine = np.asarray(template.affine, dtype=np.float64)
    brain = ndimage.binary_fill_holes(t1w > 0.05 * t1w.max())
    fluid = np.clip(1 - grey - white, 0, 1)
    flair = _FLAIR_GREY * grey + _FLAIR_WHITE * white + _FLAIR_FLUID * fluid
    return MniTemplate(
        t1w=Image(np.where(brain, t1w, 0).astype(np.float32), affine),
        flair=Image(np.where(brain, flair, 0).astype(np.float32), affine),
        brain=Image(brain.astype(np.uint8), affine),
    )


def register_to_mni(
    scan: PreparedScan, *, kind: MniKind, lesions: Image | None = None
) -> MniTransform:
    """Find the way of one scan to MNI space.

    The T1w is registered where the scan has one. Otherwise the FLAIR is, to a template of its
    own contrast (grey a little brighter than white matter, fluid dark), so that the same
    local correlation serves both.

    Parameters
    ----------
    lesions : mask on the native FLAIR grid; what lies in it, and 2 mm around, does not count.

    Raises
    ------
    ScanError : the registration fails.
    """
    template = mni_template(_REGISTERED_AT_MM)
    name = "T1w" if "T1w" in scan.sequences else "FLAIR"
    fixed = template.t1w if name == "T1w" else template.flair
    moving, brain, counted = _brain_and_what_counts(scan, name, lesions)
    masks = {"-gm": with_margin(template.brain), "-mm": counted}
    affine = affine_registration(
        fixed,
        moving,
        metric=_METRIC,
        iterations=_AFFINE_ITERATIONS,
        start=start_of_other_session(template.brain, brain),
        masks=masks,
    )
    if kind == "affine":
        return MniTransform(affine)
    back = inverse(affine)
    found = run_greedy(
        f"-m {_METRIC} -n {_WARP_ITERATIONS} -wp 0 -oinv inverted",
        ("found", "inverted"),
        fixed=fixed,
        moving=laid(moving, back),
        masks={**masks, "-mm": laid(counted, back)},
    )
    return MniTransform(affine, _warp(found["found"], fixed), _warp(found["inverted"], fixed))


def to_mni(
    image: Image, scan: PreparedScan, transform: MniTransform, *, interpolation: Interpolation
) -> Image:
    """An image of the native FLAIR grid (a mask, a probability) in MNI space at 1 mm.

    Interpolated once, through MNI -> participant -> native. A mask goes as its share of each
    voxel with ``linear``, and is then cut at one half.
    """
    grid = mni_template(_WRITTEN_AT_MM).brain
    return resample_through(
        _as_share(image, interpolation),
        shape=grid.shape,
        affine=grid.affine,
        steps=(*transform.steps_to_participant, *scan.steps_to_image("FLAIR")),
        interpolation=interpolation,
    )


def from_mni(
    image: Image, scan: PreparedScan, transform: MniTransform, *, interpolation: Interpolation
) -> Image:
    """An image of MNI space (an atlas, a prior) on the native FLAIR grid; interpolated once."""
    return resample_through(
        _as_share(image, interpolation),
        shape=scan.brain_mask.shape,
        affine=scan.brain_mask.affine,
        steps=(*scan.steps_to_participant, *transform.steps_to_mni),
        interpolation=interpolation,
    )


def _as_share(image: Image, interpolation: Interpolation) -> Image:
    if interpolation == "nearest":
        return image
    return image.with_voxels(image.voxels.astype(np.float32))


def _brain_and_what_counts(
    scan: PreparedScan, name: str, lesions: Image | None
) -> tuple[Image, Image, Image]:
    """The stripped sequence, its brain, and where the metric looks; all in participant space."""
    sequence = scan.sequences[name]
    image = sequence.undistorted()
    steps = (sequence.to_flair, *scan.flair.steps_from_true)

    def on_own_grid(mask: Image) -> NDArray[np.bool_]:
        found = resample_through(
            mask, shape=image.shape, affine=image.affine, steps=steps, interpolation="nearest"
        )
        inside: NDArray[np.bool_] = found.voxels > 0
        return inside

    brain = on_own_grid(scan.brain_mask)
    counted = np.ones(image.shape, dtype=bool)
    if lesions is not None and lesions.voxels.any():
        away = ndimage.distance_transform_edt(~on_own_grid(lesions), sampling=image.voxel_sizes_mm)
        counted = away > _LESION_MARGIN_MM
    stripped = _filled(np.where(brain, image.voxels, 0), brain & counted, brain & ~counted, image)
    place = scan.to_participant @ sequence.to_flair
    return (
        laid(image.with_voxels(stripped), place),
        laid(image.with_voxels(brain.astype(np.uint8)), place),
        laid(image.with_voxels(counted.astype(np.uint8)), place),
    )


def _filled(
    voxels: NDArray[Any], healthy: NDArray[np.bool_], ill: NDArray[np.bool_], grid: Image
) -> NDArray[np.float32]:
    """Lesions with the mean of the healthy tissue around them.

    They do not count themselves, but the smoothing of coarse levels and the patches of the
    metric would carry them across the border of the mask.
    """
    filled = voxels.astype(np.float32)
    if ill.any():
        width = [_FILL_WIDTH_MM / edge for edge in grid.voxel_sizes_mm]
        near = ndimage.gaussian_filter(healthy.astype(np.float32), width)
        mean = ndimage.gaussian_filter(np.where(healthy, filled, 0), width)
        filled[ill] = (mean / np.maximum(near, _NO_TISSUE))[ill]
    return filled


def _warp(field: Any, grid: Image) -> Warp:
    """A warp of ITK's convention (LPS, axes reversed) in RAS."""
    displacement = sitk.GetArrayFromImage(field).transpose(2, 1, 0, 3) * _LPS_RAS
    return Warp(displacement.astype(np.float32), grid.affine)
