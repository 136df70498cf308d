"""Planes of a brain with outlines, letters and a scale, as the pictures of quality control use.

Arrays are (x, y, z) on an isotropic grid along R, A, S. Planes are shown as radiologists hold
them: the participant's right on the left of an axial and of a coronal picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lesion_dynamics.report.style import ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Plane = Literal["axial", "coronal", "sagittal"]
PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
BRAIN_COLOUR = "#56B4E9"
LESION_COLOUR = ORANGE
GREY_RANGE = (-4.0, 4.0)
"""Normalised intensities shown as black and as white."""

_AXIS: dict[Plane, int] = {"axial": 2, "coronal": 1, "sagittal": 0}
_LETTERS: dict[Plane, tuple[str, str, str, str]] = {  # left, right, bottom, top
    "axial": ("R", "L", "P", "A"),
    "coronal": ("R", "L", "I", "S"),
    "sagittal": ("P", "A", "I", "S"),
}
_SCALE_MM = 50.0
_SQUARE_MM = 24.0


def cut(values: NDArray[Any], plane: Plane, index: int) -> NDArray[Any]:
    """One plane as rows from top to bottom and columns from left to right."""
    shown: NDArray[Any] = np.take(values, index, axis=_AXIS[plane]).T[::-1]
    return shown if plane == "sagittal" else shown[:, ::-1]


def best_index(mask: NDArray[np.bool_], brain: NDArray[np.bool_], plane: Plane) -> int:
    """The plane with the largest area of ``mask``, or of ``brain`` where the mask is empty."""
    others = tuple(axis for axis in range(3) if axis != _AXIS[plane])
    areas = mask.sum(axis=others)
    if not areas.any():
        areas = brain.sum(axis=others)
        if plane == "sagittal":  # off the midline, through a hemisphere
            middle = int(np.average(np.arange(len(areas)), weights=np.maximum(areas, 1e-9)))
            return min(len(areas) - 1, middle + len(areas) // 8)
    return int(areas.argmax())


def checkerboard(
    first: NDArray[np.float32], second: NDArray[np.float32], *, spacing_mm: float
) -> NDArray[np.float32]:
    """Squares of 24 mm that show the first and the second plane in turn."""
    edge = _square(spacing_mm)
    rows, columns = np.indices(first.shape) // edge
    return np.where((rows + columns) % 2 == 0, first, second)


def show_squares(axes: Axes, shape: tuple[int, ...], *, spacing_mm: float) -> None:
    """Faint lines along the borders of the squares."""
    edge = _square(spacing_mm)
    for draw, size in ((axes.axhline, shape[0]), (axes.axvline, shape[1])):
        for border in range(edge, size, edge):
            draw(border - 0.5, color="white", alpha=0.25, linewidth=0.5)


def _square(spacing_mm: float) -> int:
    return max(1, round(_SQUARE_MM / spacing_mm))


def show_plane(
    axes: Axes, shown: NDArray[np.float32], plane: Plane, *, spacing_mm: float, scale: bool
) -> None:
    """A grey picture with its letters, and a bar of 50 mm where ``scale`` asks for it."""
    axes.set_facecolor("black")
    axes.imshow(shown, cmap="gray", vmin=GREY_RANGE[0], vmax=GREY_RANGE[1], interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    left, right, bottom, top = _LETTERS[plane]
    for letter, x, y in (
        (left, 0.035, 0.5), (right, 0.965, 0.5), (bottom, 0.5, 0.045), (top, 0.5, 0.955),
    ):  # fmt: skip
        axes.text(
            x, y, letter, transform=axes.transAxes, color="white", fontsize=9, weight="bold",
            ha="center", va="center",
        )  # fmt: skip
    if scale:
        rows, columns = shown.shape
        length = _SCALE_MM / spacing_mm
        start, height = columns * 0.97 - length, rows * 0.965
        axes.plot([start, start + length], [height, height], color="white", linewidth=2)
        axes.text(
            start + length / 2, height - rows * 0.015, "50 mm", color="white", fontsize=7,
            ha="center", va="bottom",
        )  # fmt: skip


def outline(axes: Axes, mask: NDArray[np.bool_], colour: str, *, width: float = 0.8) -> None:
    """The border of a mask's plane, drawn along the edges between voxels."""
    if mask.any() and not mask.all():
        fine = np.pad(np.kron(mask, np.ones((2, 2))), 2)
        smooth = ndimage.gaussian_filter(fine, 0.7)
        rows, columns = smooth.shape
        axes.contour(
            (np.arange(columns) - 2) / 2 - 0.25, (np.arange(rows) - 2) / 2 - 0.25, smooth,
            levels=[0.5], colors=[colour], linewidths=[width],
        )  # fmt: skip
