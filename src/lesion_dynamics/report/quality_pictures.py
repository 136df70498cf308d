"""Quality control to look at: one picture a scan, and contact sheets of the cohort."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.atomic_files import write_bytes
from lesion_dynamics.report.quality_panels import (
    BRAIN_COLOUR,
    LESION_COLOUR,
    PLANES,
    best_index,
    checkerboard,
    cut,
    outline,
    show_plane,
    show_squares,
)
from lesion_dynamics.report.style import GREY, VERMILLION, house_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PICTURE_DPI = 110
_SHEET_COLUMNS, _SHEET_ROWS = 8, 5
_MOST_LINES = 3


@dataclass(frozen=True, slots=True)
class ScanView:
    """One scan, laid onto an isotropic grid along R, A, S of the participant's space.

    flair : (x, y, z) normalised intensities (z units), brain, lesions : masks on it.
    other : the same of another session, and its name; None for a single session.
    flags : as in quality.tsv; "" for none.
    """

    participant_id: str
    session_id: str
    model_version: str
    flair: NDArray[np.float32]
    brain: NDArray[np.bool_]
    lesions: NDArray[np.bool_]
    spacing_mm: float
    lesion_volume_mm3: float
    other: NDArray[np.float32] | None
    other_session_id: str
    flags: str


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """The axial plane of a scan for the contact sheet; rows and columns as shown."""

    participant_id: str
    session_id: str
    flair: NDArray[np.float32]
    brain: NDArray[np.bool_]
    lesions: NDArray[np.bool_]
    spacing_mm: float
    flag_count: int
    flags: str


def thumbnail_of(view: ScanView, *, flag_count: int) -> Thumbnail:
    """What the contact sheet shows of a scan: the plane with the most lesion."""
    index = best_index(view.lesions, view.brain, "axial")
    return Thumbnail(
        view.participant_id,
        view.session_id,
        cut(view.flair, "axial", index).astype(np.float32),
        cut(view.brain, "axial", index),
        cut(view.lesions, "axial", index),
        view.spacing_mm,
        flag_count,
        view.flags,
    )


def draw_scan(path: Path, view: ScanView) -> None:
    """Three planes with the outlines of brain and lesions; below, two sessions in squares."""
    with house_style():
        from matplotlib.figure import Figure

        rows = 1 if view.other is None else 2
        sizes = {plane: cut(view.flair, plane, 0).shape for plane in PLANES}
        flags = _flag_lines(view)
        header = 0.62 + 0.15 * len(flags)
        figure = Figure(figsize=(10.0, header + 0.3 + 3.55 * rows), facecolor="white")
        grid = figure.add_gridspec(
            rows, 3, left=0.01, right=0.99, top=1 - header / figure.get_figheight(),
            bottom=0.3 / figure.get_figheight(), wspace=0.02, hspace=0.08,
            width_ratios=[sizes[plane][1] for plane in PLANES],
        )  # fmt: skip
        for column, plane in enumerate(PLANES):
            index = best_index(view.lesions, view.brain, plane)
            axes = figure.add_subplot(grid[0, column])
            flair = cut(view.flair, plane, index)
            show_plane(axes, flair, plane, spacing_mm=view.spacing_mm, scale=column == 0)
            axes.set_title(plane, fontsize=9, weight="normal", pad=3)
            outline(axes, cut(view.brain, plane, index), BRAIN_COLOUR)
            outline(axes, cut(view.lesions, plane, index), LESION_COLOUR)
            if view.other is not None:
                below = figure.add_subplot(grid[1, column])
                squares = checkerboard(
                    flair, cut(view.other, plane, index), spacing_mm=view.spacing_mm
                )
                show_plane(below, squares, plane, spacing_mm=view.spacing_mm, scale=False)
                show_squares(below, squares.shape, spacing_mm=view.spacing_mm)
                if column == 0:
                    said = f"squares of 24 mm: {view.session_id} and {view.other_session_id}"
                    below.set_title(said, fontsize=9, weight="normal", pad=3, loc="left")
        _caption(figure, view, flags)
        _save(figure, path)


def draw_contact_sheets(folder: Path, thumbnails: Sequence[Thumbnail]) -> list[Path]:
    """Pages of 40 scans, those with the most flags first; the paths written.

    Pages of an earlier, larger cohort are removed.
    """
    ordered = sorted(thumbnails, key=lambda t: (-t.flag_count, t.participant_id, t.session_id))
    size = _SHEET_COLUMNS * _SHEET_ROWS
    pages = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    written = [folder / f"contact_sheet_{number:02d}.png" for number in range(1, len(pages) + 1)]
    with house_style():
        for number, (path, page) in enumerate(zip(written, pages, strict=True), start=1):
            _draw_page(path, page, number=number, of=len(pages), scans=len(ordered))
    for stale in set(folder.glob("contact_sheet_*.png")) - set(written):
        stale.unlink()
    return written


def _draw_page(path: Path, page: Sequence[Thumbnail], *, number: int, of: int, scans: int) -> None:
    from matplotlib.figure import Figure

    rows = -(-len(page) // _SHEET_COLUMNS)
    figure = Figure(figsize=(16.0, 0.75 + 2.95 * rows), facecolor="white")
    height = figure.get_figheight()
    grid = figure.add_gridspec(
        rows, _SHEET_COLUMNS, left=0.008, right=0.992, top=1 - 0.95 / height,
        bottom=0.12 / height, wspace=0.06, hspace=0.26,
    )  # fmt: skip
    for place, thumbnail in enumerate(page):
        axes = figure.add_subplot(grid[place // _SHEET_COLUMNS, place % _SHEET_COLUMNS])
        show_plane(
            axes, thumbnail.flair, "axial", spacing_mm=thumbnail.spacing_mm, scale=place == 0
        )
        outline(axes, thumbnail.brain, BRAIN_COLOUR, width=0.6)
        outline(axes, thumbnail.lesions, LESION_COLOUR, width=0.6)
        axes.set_title(
            f"{thumbnail.participant_id} {thumbnail.session_id}\n{_first_flag(thumbnail)}",
            fontsize=7.5, weight="normal", pad=3,
            color=VERMILLION if thumbnail.flag_count else "black",
        )  # fmt: skip
    figure.text(
        0.008, 1 - 0.12 / height,
        f"Quality control, page {number} of {of}: {scans} scans, those with the most flags first. "
        "Axial plane with the most lesion, FLAIR; participant's right on the left (R).",
        fontsize=10, va="top",
    )  # fmt: skip
    _legend(figure, x=0.992, y=1 - 0.12 / height)
    _save(figure, path)


def _first_flag(thumbnail: Thumbnail) -> str:
    if not thumbnail.flag_count:
        return "no flag"
    first = thumbnail.flags.partition("; ")[0].partition(" (")[0]
    more = f" +{thumbnail.flag_count - 1}" if thumbnail.flag_count > 1 else ""
    # "flair_missing_slices 3" is wider than a thumbnail in words that cannot break.
    return textwrap.shorten(first.replace("_", " "), 34, placeholder="…") + more


def _flag_lines(view: ScanView) -> list[str]:
    lines = textwrap.wrap(f"Flags: {view.flags}" if view.flags else "No flag", 150)
    if len(lines) > _MOST_LINES:
        kept = lines[: _MOST_LINES - 1]
        lines = [*kept, textwrap.shorten(lines[_MOST_LINES - 1], 140) + " …"]
    return lines


def _caption(figure: Figure, view: ScanView, flags: Sequence[str]) -> None:
    height = figure.get_figheight()
    volume = f"{view.lesion_volume_mm3:,.0f} mm³" if np.isfinite(view.lesion_volume_mm3) else "n/a"
    figure.text(
        0.01, 1 - 0.1 / height,
        f"{view.participant_id} {view.session_id}  ·  FLAIR, participant space  ·  "
        f"{view.model_version}: lesion volume {volume}",
        fontsize=11, weight="bold", va="top",
    )  # fmt: skip
    figure.text(
        0.01, 1 - 0.36 / height, "\n".join(flags), fontsize=8, va="top",
        color=VERMILLION if view.flags else GREY,
    )  # fmt: skip
    _legend(figure, x=0.99, y=0.03 / height, bottom=True)
    figure.text(
        0.01, 0.06 / height, "R: participant's right · grey: normalised intensity, −4 to 4 z",
        fontsize=8, color=GREY, va="bottom",
    )  # fmt: skip


def _legend(figure: Figure, *, x: float, y: float, bottom: bool = False) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=BRAIN_COLOUR, linewidth=2, label="brain mask"),
        Line2D([], [], color=LESION_COLOUR, linewidth=2, label="lesion mask"),
    ]
    figure.legend(
        handles=handles, loc="lower right" if bottom else "upper right", ncols=2, fontsize=8,
        bbox_to_anchor=(x, y), borderpad=0, borderaxespad=0,
    )  # fmt: skip


def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_PICTURE_DPI, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())
