"""Lesion frequency on the template by diagnosis, and where the diagnoses differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.report.quality_panels import cut
from lesion_dynamics.report.style import house_style, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SLICES_MM = (-32, -16, 0, 12, 22, 34)
"""Heights of the axial planes, z in MNI space."""

_FREQUENCY_MAP = "plasma"
_CONTRAST_MAP = "PuOr"
_OUTLINE = "#56B4E9"
_LEAST_SHOWN = 0.01
_WIDTH, _ROW_HEIGHT = 9.2, 1.95
_TITLE_HEIGHT = 0.15
_CROP = (slice(20, 177), slice(21, 213))
_TEXT: dict[str, Any] = {"fontsize": 8, "color": "white"}


@dataclass(frozen=True, slots=True)
class ContrastShown:
    """t, p_fwe : (x, y, z). timepoint : ``first`` or ``last``."""

    t: NDArray[np.float32]
    p_fwe: NDArray[np.float32]
    timepoint: str


@dataclass(frozen=True, slots=True)
class GroupMaps:
    """What the picture shows; all maps on the template's 1 mm grid.

    origin_mm : world place of voxel 0. frequency : 0 to 1, by diagnosis, at the last session.
    participants : by diagnosis. alpha : level of the outlines.
    """

    template: NDArray[np.float32]
    origin_mm: NDArray[np.float64]
    frequency: Mapping[str, NDArray[np.float32]]
    participants: Mapping[str, int]
    contrast: ContrastShown | None
    alpha: float


def draw_lesion_maps(folder: Path, name: str, maps: GroupMaps) -> tuple[Path, Path]:
    """Write ``name.png`` and ``name.svg``: a row a diagnosis, and one for their difference."""
    with house_style():
        rows = len(maps.frequency) + (maps.contrast is not None)
        figure = new_figure(width=_WIDTH, height=0.25 + _ROW_HEIGHT * rows)
        engine = figure.get_layout_engine()
        if engine is not None:  # room for the first row's title
            engine.set(rect=(0, 0, 1, 1 - _TITLE_HEIGHT / figure.get_figheight()))  # type: ignore[call-arg]
        axes = figure.subplots(rows, len(SLICES_MM), squeeze=False)
        highest = max((float(m.max()) for m in maps.frequency.values()), default=0.0)
        scale = (0.0, max(highest, 2 * _LEAST_SHOWN))
        for row, (diagnosis, frequency) in enumerate(maps.frequency.items()):
            title = f"{diagnosis} (n = {maps.participants[diagnosis]}), last session"
            over = np.ma.masked_less(frequency, _LEAST_SHOWN)
            shown = _row(axes[row], maps, over, title, scale, _FREQUENCY_MAP)
            _bar(figure, shown, axes[row], "share of participants\nwith a lesion")
        if maps.contrast is not None:
            _difference(figure, axes[-1], maps, maps.contrast)
        return save(figure, folder, name)


def _difference(
    figure: Figure, axes: NDArray[Any], maps: GroupMaps, contrast: ContrastShown
) -> None:
    largest = max(float(np.abs(contrast.t).max()), 1.0)
    below = contrast.p_fwe < maps.alpha
    found = f"{int(below.sum()):,} voxels" if below.any() else "no voxel"
    title = (
        f"MS minus NMOSD, {contrast.timepoint} session; outlined: family-wise"
        f" p < {maps.alpha:g} ({found})"
    )
    over = np.ma.masked_equal(contrast.t, 0)
    shown = _row(axes, maps, over, title, (-largest, largest), _CONTRAST_MAP)
    for axis, height in zip(axes, SLICES_MM, strict=True):
        plane = _plane(below, height, maps)
        if plane.any():
            axis.contour(plane, levels=[0.5], colors=_OUTLINE, linewidths=0.9)
    _bar(figure, shown, axes, "t (purple: MS,\norange: NMOSD more)")


def _row(
    axes: NDArray[Any],
    maps: GroupMaps,
    values: Any,
    title: str,
    scale: tuple[float, float],
    colours: str,
) -> Any:
    shown = None
    for column, (axis, height) in enumerate(zip(axes, SLICES_MM, strict=True)):
        axis.imshow(_plane(maps.template, height, maps), cmap="gray", vmin=0, vmax=1.25)
        shown = axis.imshow(
            _plane(values, height, maps), cmap=colours, vmin=scale[0], vmax=scale[1],
            interpolation="nearest",
        )  # fmt: skip
        axis.set_axis_off()
        _letters(axis, height, first=column == 0)
    # A title of the first panel would widen it: this text takes no room in the layout.
    above = axes[0].text(
        0, 1.04, title, transform=axes[0].transAxes, fontsize=9, fontweight="bold", va="bottom"
    )
    above.set_in_layout(False)
    return shown


def _letters(axis: Axes, height: int, *, first: bool) -> None:
    label = "z = 0 mm" if height == 0 else f"z = {height:+d} mm".replace("-", "−")
    axis.text(0.5, 0.02, label, transform=axis.transAxes, ha="center", **_TEXT)
    if first:
        axis.text(0.02, 0.5, "R", transform=axis.transAxes, va="center", **_TEXT)
        axis.text(0.98, 0.5, "L", transform=axis.transAxes, va="center", ha="right", **_TEXT)


def _plane(values: Any, height: int, maps: GroupMaps) -> Any:
    index = round(height - float(maps.origin_mm[2]))
    plane = cut(values, "axial", index)  # rows front to back, columns right to left
    rows, columns = _CROP[1], _CROP[0]
    size = plane.shape
    return plane[
        size[0] - rows.stop : size[0] - rows.start, size[1] - columns.stop : size[1] - columns.start
    ]


def _bar(figure: Figure, shown: Any, axes: NDArray[Any], label: str) -> None:
    bar = figure.colorbar(shown, ax=list(axes), fraction=0.025, pad=0.01)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=8)
