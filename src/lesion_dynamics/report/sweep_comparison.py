"""Trainings of one sweep side by side: a row a setting, mean and spread over seeds and folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lesion_dynamics.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS = {
    "final_mean_dice": "Mean Dice (more is better)",
    "final_mean_lesion_f1": "Mean lesion F1 (more is better)",
    "final_mean_volume_difference_mm3": "Mean volume difference (mm³; 0 is best)",
    "final_mean_absolute_volume_difference_mm3": "Mean absolute volume difference (mm³; 0 is best)",
    "final_mean_hd95_mm": "Mean HD95 (mm; less is better)",
    "final_expected_calibration_error_from_1_percent": "Calibration error from 1% (less is better)",
}
"""Metrics that are compared, as `workflows.training_evaluation` logs them, and their names."""

_ENOUGH = 3
_REPEATED = {"seed", "fold"}
"""What tells trainings of one setting apart; the spread is over them."""
_DOT: dict[str, Any] = {
    "marker": "o", "linestyle": "", "color": style.BLUE, "alpha": 0.6, "markersize": 5,
}  # fmt: skip
_MEAN: dict[str, Any] = {
    "marker": "|", "linestyle": "", "color": style.BLACK, "markersize": 16, "markeredgewidth": 1.5,
}  # fmt: skip
_SPREAD: dict[str, Any] = {
    "color": style.GREY, "alpha": 0.35, "linewidth": 7, "solid_capstyle": "butt",
}  # fmt: skip


def settings_of(overrides: Sequence[Sequence[str]]) -> list[str]:
    """What distinguishes each training of a sweep from the others apart from its seed and its
    fold: its overrides, but for those two and for what every training has.
    """
    shared = set(overrides[0]).intersection(*overrides) if len(overrides) > 1 else set()
    return [
        " ".join(
            sorted(
                one for one in own if one not in shared and one.partition("=")[0] not in _REPEATED
            )
        )
        or "default"
        for own in overrides
    ]


def too_few(trainings: pd.DataFrame) -> dict[str, int]:
    """Settings with fewer than three trainings, and how many they have: what seeds (or folds) do
    by themselves cannot be told from what the settings do.

    trainings : as for :func:`compare`.
    """
    counts = trainings["setting"].value_counts(sort=False)
    return {str(name): int(count) for name, count in counts.items() if count < _ENOUGH}


def compare(trainings: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread over the trainings of each setting.

    Parameters
    ----------
    trainings : one row a training: setting, and a column a metric (NaN: undefined there).

    Returns
    -------
    One row a setting and metric, in the order of the settings: setting, metric, trainings (with
    the metric defined), undefined (without), mean, standard_deviation (n - 1; NaN for one),
    lowest, highest.
    """
    rows = []
    for setting in dict.fromkeys(trainings["setting"]):
        for metric in METRICS:
            if metric not in trainings:
                continue
            every = trainings.loc[trainings["setting"] == setting, metric]
            values = every.dropna()
            rows.append(
                {
                    "setting": setting,
                    "metric": metric.removeprefix("final_"),
                    "trainings": len(values),
                    "undefined": len(every) - len(values),
                    "mean": values.mean(),
                    "standard_deviation": values.std(ddof=1),
                    "lowest": values.min(),
                    "highest": values.max(),
                }
            )
    return pd.DataFrame(rows)


def draw_comparison(folder: Path, trainings: pd.DataFrame) -> tuple[Path, Path]:
    """Write ``comparison.png`` and ``.svg``: a panel a metric, a dot a training, a bar the mean, a
    band one standard deviation (n - 1) to both sides; trainings without the metric are counted.
    """
    from matplotlib.lines import Line2D

    shown = {m: label for m, label in METRICS.items() if m in trainings}
    settings = list(dict.fromkeys(trainings["setting"]))
    with style.house_style():
        figure = style.new_figure(width=7.6, height=0.9 + len(shown) * (0.55 + 0.3 * len(settings)))
        panels = figure.subplots(max(1, len(shown)), 1, squeeze=False)[:, 0]
        for panel, (metric, label) in zip(panels, shown.items(), strict=False):
            for place, setting in enumerate(settings):
                every = trainings.loc[trainings["setting"] == setting, metric]
                _draw_setting(panel, place, every)
            panel.set_yticks(range(len(settings)), settings)
            panel.set_ylim(len(settings) - 0.5, -0.5)
            panel.set_title(label, loc="left")
            if "mm³" in label:
                style.label_thousands(panel.xaxis)
        legend = [
            Line2D([], [], **_DOT, label="a training"),
            Line2D([], [], **_MEAN, label="mean"),
            Line2D([], [], **_SPREAD, label="mean ± standard deviation"),
        ]
        figure.legend(handles=legend, loc="outside lower center", ncols=3)
        return style.save(figure, folder, "comparison")


def _draw_setting(panel: Axes, place: int, every: pd.Series[float]) -> None:
    values = every.dropna()
    mean, spread = values.mean(), values.std(ddof=1)
    if len(values) > 1:
        panel.plot([mean - spread, mean + spread], [place, place], **_SPREAD, zorder=1)
    panel.plot(values, [place] * len(values), **_DOT, zorder=3)
    if len(values):
        panel.plot([mean], [place], **_MEAN, zorder=2)
    if len(values) < len(every):
        panel.annotate(
            f"{len(every) - len(values)} undefined",
            (1.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=style.GREY,
            annotation_clip=False,
        )
