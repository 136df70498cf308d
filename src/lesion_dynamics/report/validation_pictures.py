"""What a freshly trained segmenter does: example scans and learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.imaging.geometry import voxel_sizes_mm
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SLICES = 3
_SLICE_DISTANCE_MM = 12.0
_CURVES = (
    ("training_loss", "Training loss"),
    ("validation_score", "Score: mean of Dice and lesion F1"),
    ("validation_mean_dice", "Mean Dice of validation scans"),
    ("learning_rate", "Learning rate"),
)


@dataclass(frozen=True)
class Example:
    """One validation scan: FLAIR, reference mask and lesion mask on one grid, and its title."""

    title: str
    flair: Image
    reference: NDArray[Any]
    predicted: NDArray[Any]


def draw_examples(folder: Path, examples: Sequence[Example]) -> tuple[Path, Path]:
    """Write ``validation_examples.png`` and ``.svg``: a row a scan, its axial slices that hold
    most lesion (reference or lesion mask), seen from below as radiologists do.
    """
    from matplotlib.lines import Line2D

    with style.house_style():
        figure = style.new_figure(width=2.6 * _SLICES, height=0.5 + 3.1 * len(examples))
        panels = figure.subplots(len(examples), _SLICES, squeeze=False)
        for row, example in zip(panels, examples, strict=True):
            canonical = [
                _canonical(example.flair.with_voxels(voxels))
                for voxels in (example.flair.voxels, example.reference, example.predicted)
            ]
            sizes = voxel_sizes_mm(canonical[0].affine)
            shown = canonical[1].voxels.astype(bool) | canonical[2].voxels.astype(bool)
            places = slices_with_most(shown, distance=max(1, round(_SLICE_DISTANCE_MM / sizes[2])))
            for panel, place in zip(row, places, strict=True):
                _draw_slice(panel, [one.voxels[:, :, place] for one in canonical], sizes)
            row[0].set_title(example.title, loc="left", fontsize=9)
        handles = [
            Line2D([], [], color=style.GREEN, label="reference mask"),
            Line2D([], [], color=style.VERMILLION, label="lesion mask"),
        ]
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=2,
            title="axial FLAIR, participant's right on the left",
        )
        return style.save(figure, folder, "validation_examples")


def slices_with_most(mask: NDArray[np.bool_], *, distance: int) -> list[int]:
    """Axial slices that hold most of the mask, at least ``distance`` apart where the scan is tall
    enough, in order from below; the middle of the scan where the mask is empty.
    """
    height = mask.shape[2]
    area = mask.sum(axis=(0, 1)).astype(float)
    # Ties, and scans without lesions, go to the middle.
    area -= 1e-6 * np.abs(np.arange(height) - height // 2)
    chosen: list[int] = []
    while len(chosen) < _SLICES:
        best = int(np.argmax(area))
        if not np.isfinite(area[best]):
            best = chosen[-1]
        chosen.append(best)
        area[max(0, best - distance + 1) : best + distance] = -np.inf
    return sorted(chosen)


def draw_learning_curves(folder: Path, history: Sequence[Mapping[str, float]]) -> tuple[Path, Path]:
    """Write ``learning_curves.png`` and ``.svg``: loss, validation and learning rate by step."""
    with style.house_style():
        figure = style.new_figure(width=7.2, height=5.0)
        for panel, (name, label) in zip(figure.subplots(2, 2).flat, _CURVES, strict=True):
            points = [(row["step"], row[name]) for row in history if name in row]
            if len(points) == 1:
                # One point is no curve: its axes would say nothing.
                panel.text(0.5, 0.5, f"{points[0][1]:.3f}\nvalidated once, step {points[0][0]:g}",
                           ha="center", va="center", transform=panel.transAxes)  # fmt: skip
                panel.set(xticks=[], yticks=[])
            elif points:
                steps, values = zip(*points, strict=True)
                panel.plot(steps, values, "o-", color=style.BLUE, markersize=3, linewidth=1.2)
            panel.set_title(label, loc="left")
            if len(points) != 1:
                panel.set_xlabel("Step")
        return style.save(figure, folder, "learning_curves")


def draw_reliability(folder: Path, table: Sequence[Mapping[str, Any]]) -> tuple[Path, Path]:
    """Write ``reliability.png`` and ``.svg``: lesion frequency against lesion probability."""
    with style.house_style():
        figure = style.new_figure(width=4.2, height=4.2)
        panel = figure.subplots()
        points = [
            (row["mean_probability"], row["lesion_frequency"])
            for row in table
            if row["voxel_count"]
        ]
        panel.plot([0, 1], [0, 1], color=style.GREY, linewidth=1)
        panel.text(0.5, 0.52, "well calibrated", rotation=45, rotation_mode="anchor",
                   ha="center", va="bottom", color=style.GREY, fontsize=9)  # fmt: skip
        if points:
            panel.plot(*zip(*points, strict=True), "o-", color=style.BLUE, markersize=4)
        panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        panel.set_xlabel("Mean lesion probability")
        panel.set_ylabel("Share of voxels that are lesion")
        return style.save(figure, folder, "reliability")


def _canonical(image: Image) -> Image:
    orientation = nib.io_orientation(image.affine)
    voxels = nib.apply_orientation(image.voxels, orientation)
    affine = image.affine @ nib.orientations.inv_ornt_aff(orientation, image.shape)
    return Image(np.ascontiguousarray(voxels), affine)


def _draw_slice(
    panel: Axes, layers: Sequence[NDArray[Any]], sizes: tuple[float, float, float]
) -> None:
    flair, reference, predicted = (layer.T for layer in layers)
    inside = flair[flair > 0]
    brightest = float(np.percentile(inside, 99.5)) if inside.size else 1.0
    panel.imshow(
        flair, cmap="gray", vmin=0.0, vmax=brightest, origin="lower", aspect=sizes[1] / sizes[0]
    )
    for mask, colour in ((reference, style.GREEN), (predicted, style.VERMILLION)):
        if mask.any():
            panel.contour(mask != 0, levels=[0.5], colors=[colour], linewidths=0.8)
    panel.invert_xaxis()
    panel.set_axis_off()
