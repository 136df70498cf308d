"""The published lesion change of the open MS data's longitudinal patients against our masks.

The masks of two sessions are brought into the data's common space by the transforms that are
published with them, not by ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.imaging.reading import read_image, read_mask
from lesion_dynamics.preprocessing.resampling import resample
from lesion_dynamics.report import style
from lesion_dynamics.report.validation_pictures import slices_with_most

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SLICES, _SLICE_DISTANCE_MM = 3, 12.0
_SHADING_MM = 20.0
_ROBUST = 1.4826  # median absolute deviation to standard deviation
_BRIGHT_PERCENTILE = 99.7
_DEVIATIONS = 2.0


@dataclass(frozen=True)
class Change:
    """One patient in common space. flairs, masks : of both sessions; published : lesion change;
    brain : published, too.
    """

    patient: str
    flairs: tuple[Image, Image]
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    published: Image
    brain: NDArray[np.bool_]

    def figures(self) -> dict[str, float]:
        """Volumes in mm3, and which part of the published change lies where."""
        first, second = self.masks
        change = self.published.voxels > 0
        voxel = self.published.voxel_volume_mm3
        newly_bright = self.newly_bright()
        return {
            "published_change_mm3": float(change.sum()) * voxel,
            "share_where_masks_differ": float((first ^ second)[change].mean()),
            "share_in_second_mask_alone": float((second & ~first)[change].mean()),
            "share_in_first_mask": float(first[change].mean()),
            "share_in_second_mask": float(second[change].mean()),
            "first_mask_mm3": float(first.sum()) * voxel,
            "second_mask_mm3": float(second.sum()) * voxel,
            # What no mask of two sessions can show: a change that their FLAIRs do not show.
            "share_where_flairs_differ": float(self.flairs_differ()[change & self.brain].mean()),
            "share_of_brain_where_flairs_differ": float(self.flairs_differ()[self.brain].mean()),
            # What a new or growing lesion is: bright, and brighter than before.
            "share_newly_bright": float(newly_bright[change].mean()),
            "share_of_newly_bright_where_masks_differ": float(
                (first ^ second)[change & newly_bright].mean()
            ),
        }

    def flairs_differ(self) -> NDArray[np.bool_]:
        """Where the FLAIRs of both sessions differ by more than two deviations of their difference
        in the brain, each relative to its mean within 20 mm.
        """
        differs: NDArray[np.bool_] = np.abs(self._difference()) > _DEVIATIONS
        return differs

    def newly_bright(self) -> NDArray[np.bool_]:
        """Where the second FLAIR is brighter than the first one by more than two deviations, and
        brighter than the brain's median by more than two of the brain's.
        """
        bright: NDArray[np.bool_] = self._relative(self.flairs[1]) > _DEVIATIONS
        return bright & (self._difference() > _DEVIATIONS)

    def _difference(self) -> NDArray[np.float64]:
        """Second minus first FLAIR, in deviations of it in the brain from its median there."""
        first, second = (self._relative(flair) for flair in self.flairs)
        inside = (second - first)[self.brain]
        middle = np.median(inside)
        deviation = _ROBUST * np.median(np.abs(inside - middle))
        return np.asarray((second - first - middle) / deviation)

    def _relative(self, flair: Image) -> NDArray[np.float64]:
        widths = [_SHADING_MM / size for size in flair.voxel_sizes_mm]
        inside = np.where(self.brain, flair.voxels, 0).astype(np.float64)
        total = ndimage.gaussian_filter(inside, widths)
        share = ndimage.gaussian_filter(self.brain.astype(np.float64), widths)
        values = np.where(self.brain, inside * share / np.maximum(total, 1e-6), 0.0)
        middle = np.median(values[self.brain])
        spread = _ROBUST * np.median(np.abs(values[self.brain] - middle))
        return np.asarray((values - middle) / spread)


def read_change(folder: Path, patient: str, masks: tuple[Path, Path]) -> Change:
    """``folder`` is upstream's longitudinal; masks are native, of both sessions."""
    raw = folder / "raw" / patient
    brain = read_mask(folder / "coregistered" / patient / "brainmask.nii.gz")
    published = read_mask(raw / "gt.nii.gz")
    flairs, found = [], []
    for study, mask in enumerate(masks, start=1):
        from_common = itk_affine(raw / f"study{study}_FLAIR_to_common_space.txt")
        flairs.append(
            _in_common(read_image(raw / f"study{study}_FLAIR.nii.gz"), published, from_common)
        )
        native = read_mask(mask)
        native = native.with_voxels(native.voxels.astype(np.float32))
        found.append(_in_common(native, published, from_common).voxels >= 0.5)
    return Change(
        patient, (flairs[0], flairs[1]), (found[0], found[1]), published, brain.voxels > 0
    )


def itk_affine(path: Path) -> Affine:
    """An ITK affine transform file as (4, 4), fixed world to moving world in RAS+ mm."""
    values = {
        key: np.array([float(value) for value in rest.split()])
        for key, _, rest in (line.partition(":") for line in path.read_text().splitlines())
        if key in ("Parameters", "FixedParameters")
    }
    matrix = np.eye(4)
    matrix[:3, :3] = values["Parameters"][:9].reshape(3, 3)
    centre = values["FixedParameters"]
    matrix[:3, 3] = values["Parameters"][9:] + centre - matrix[:3, :3] @ centre
    affine: Affine = _LPS_FROM_RAS @ matrix @ _LPS_FROM_RAS
    return affine


def _in_common(image: Image, common: Image, image_from_common: Affine) -> Image:
    return resample(
        image,
        shape=common.shape,
        affine=common.affine,
        image_from_target=image_from_common,
        interpolation="linear",
    )


def draw_change(change: Change, folder: Path) -> None:
    """Both sessions where most changed: FLAIR, bare and under our mask and the published one."""
    published = change.published.voxels > 0
    distance = max(1, round(_SLICE_DISTANCE_MM / change.published.voxel_sizes_mm[2]))
    slices = slices_with_most(published, distance=distance)[:_SLICES]
    brain = np.argwhere(change.flairs[0].voxels.max(axis=2) > 0)
    low, high = brain.min(axis=0), brain.max(axis=0) + 1
    window = slice(low[0], high[0]), slice(low[1], high[1])
    # Anterior above and the patient's right on the right, however the data are stored.
    signs = np.diag(change.published.affine)[:2]
    upright = tuple(slice(None, None, -1 if sign < 0 else None) for sign in signs)
    figure = style.new_figure(width=10.0, height=2.8 * len(slices) + 0.4)
    axes = figure.subplots(len(slices), 4, squeeze=False)
    for row, level in zip(axes, slices, strict=True):
        for session in (0, 1):
            flair = change.flairs[session].voxels
            bright = float(np.percentile(flair[flair > 0], _BRIGHT_PERCENTILE))
            for place, outlined in enumerate((False, True)):
                panel = row[2 * session + place]
                panel.imshow(
                    flair[(*window, level)][upright].T,
                    cmap="gray", origin="lower", vmin=0, vmax=bright,
                )  # fmt: skip
                panel.set_axis_off()
                if outlined:
                    _outline(panel, change.masks[session][(*window, level)][upright], "#d55e00")
                    _outline(panel, published[(*window, level)][upright], "#56b4e9")
            row[2 * session].set_title(f"session {session + 1}, slice {level}", fontsize=8)
            row[2 * session + 1].set_title("our mask, published change", fontsize=8)
    figure.suptitle(
        f"{change.patient}: our masks (orange), published change (blue); "
        f"{100 * change.figures()['share_where_masks_differ']:.0f}% of it where our masks differ",
        fontsize=9,
    )
    style.save(figure, folder, f"{change.patient}_change")


def _outline(panel: object, mask: NDArray[np.bool_], colour: str) -> None:
    if mask.any():
        panel.contour(mask.T.astype(float), [0.5], colors=colour, linewidths=0.8)  # type: ignore[attr-defined]
