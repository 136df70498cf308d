"""Differences between repeated measurements of the same scan, by load (after Bland and Altman)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lesion_dynamics.longitudinal.repeatability import RepeatabilityFigure
from lesion_dynamics.longitudinal.within_scan import smallest_detectable_change
from lesion_dynamics.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3
_LINEAR_WITHIN_MM3 = 10.0
"""The axis of differences is linear about zero and logarithmic beyond, on both sides."""
_SMALLEST_MM3 = 10.0
"""Loads below this are drawn here: the axis of loads is logarithmic."""


def draw_repeatability(
    folder: Path, *, name: str, differences: pd.DataFrame, pooled: pd.DataFrame,
    figures: Sequence[RepeatabilityFigure],
) -> tuple[Path, Path]:  # fmt: skip
    """Write ``<name>.png`` and ``.svg``: a panel a perturbation, a point a repeated measurement.

    Parameters
    ----------
    differences : diagnosis, perturbation, original_lesion_volume_mm3, difference_mm3.
    pooled : one row a scan: diagnosis, volume_mm3, variance_mm6 of all that is pooled.
    figures : fitted noise; the curves of the last panel are their smallest detectable changes.
    """
    kinds = list(dict.fromkeys(differences["perturbation"]))
    rows = -(-(len(kinds) + 1) // _COLUMNS)
    with style.house_style():
        figure = style.new_figure(width=3.5 * _COLUMNS, height=2.9 * rows)
        panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for panel, kind in zip(panels, kinds, strict=False):
            own = differences[differences["perturbation"] == kind]
            _points(panel, own, "original_lesion_volume_mm3", "difference_mm3")
            panel.axhline(0, color=style.GREY, linewidth=0.8)
            panel.set_yscale("symlog", linthresh=_LINEAR_WITHIN_MM3)
            panel.set_title(kind)
            panel.set_ylabel("Copy less scan (mm³)")
        detectable = pooled.assign(
            change=[smallest_detectable_change(v**0.5) for v in pooled["variance_mm6"]]
        )
        _points(panels[len(kinds)], detectable, "volume_mm3", "change")
        _curves(panels[len(kinds)], pooled, figures)
        for panel in panels[: len(kinds) + 1]:
            panel.set_xscale("log")
            panel.set_xlabel("Lesion volume (mm³)")
        for panel in panels[len(kinds) + 1 :]:
            panel.set_visible(False)
        return style.save(figure, folder, name)


def _points(panel: Axes, table: pd.DataFrame, load: str, value: str) -> None:
    for diagnosis, colour in style.DIAGNOSIS_COLOUR.items():
        own = table[table["diagnosis"] == diagnosis]
        panel.plot(
            np.maximum(own[load].to_numpy(dtype=float), _SMALLEST_MM3),
            own[value].to_numpy(dtype=float),
            "o", color=colour, markersize=4, alpha=0.6, markeredgewidth=0, label=diagnosis,
        )  # fmt: skip


def _curves(panel: Axes, pooled: pd.DataFrame, figures: Sequence[RepeatabilityFigure]) -> None:
    highest = max(float(pooled["volume_mm3"].max()), 10 * _SMALLEST_MM3) if len(pooled) else 1e4
    load = np.geomspace(_SMALLEST_MM3, highest, 100)
    for own in figures:
        deviation = np.hypot(own.noise_mm3, own.noise_share * load)
        curve = [smallest_detectable_change(float(value)) for value in deviation]
        colour = style.DIAGNOSIS_COLOUR.get(own.diagnosis, style.BLACK)
        panel.plot(load, curve, color=colour, linewidth=1.2, label=f"fitted, {own.diagnosis}")
    panel.set_yscale("symlog", linthresh=_LINEAR_WITHIN_MM3)
    panel.set_title("all together")
    panel.set_ylabel("Smallest detectable change (mm³)")
    panel.legend(fontsize=7)
