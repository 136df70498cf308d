"""Colours, sizes and file formats shared by all figures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lesion_dynamics.atomic_files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito, Color Universal Design, 2008: told apart with every kind of colour vision.
BLUE = "#0072B2"
VERMILLION = "#D55E00"
ORANGE = "#E69F00"
GREEN = "#009E73"
BLACK = "#000000"
GREY = "#8A8A8A"
DIAGNOSIS_COLOUR = {"MS": BLUE, "NMOSD": VERMILLION}

RESOLUTION_DPI = 160
_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same picture everywhere
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "svg.hashsalt": "lesion-dynamics",  # ids in the SVG are random without it
    "svg.fonttype": "path",
    "path.simplify": False,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Figures made in this block look alike and need no display."""
    import matplotlib as mpl

    mpl.use("Agg")
    with mpl.rc_context(_SETTINGS):
        yield


def new_figure(*, width: float, height: float) -> Figure:
    """An empty figure, inches, that no global state knows of."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write ``name.png`` and ``name.svg``, atomically, with the same bytes for the same figure."""
    written = []
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=RESOLUTION_DPI, metadata=metadata)
        path = folder / f"{name}.{kind}"
        write_bytes(path, buffer.getvalue())
        written.append(path)
    return written[0], written[1]


def label_thousands(axis: Axis) -> None:
    """Tick labels as 1,000 and not 10^3, with a true minus sign."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    def written(value: float, _position: int) -> str:
        return f"{value:,.0f}".replace("-", "−")

    axis.set_major_formatter(FuncFormatter(written))
    axis.set_minor_formatter(NullFormatter())
