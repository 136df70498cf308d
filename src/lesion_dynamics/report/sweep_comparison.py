"""Trainings of one sweep side by side: a row a setting, mean and spread over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lesion_dynamics.report import style

METRICS = {
    "final_mean_dice": "Mean Dice",
    "final_mean_lesion_f1": "Mean lesion F1",
    "final_mean_volume_difference_mm3": "Mean volume difference (mm³)",
    "final_mean_absolute_volume_difference_mm3": "Mean absolute volume difference (mm³)",
    "final_mean_hd95_mm": "Mean HD95 (mm)",
    "final_expected_calibration_error_from_1_percent": "Calibration error (from 1%)",
}
"""Metrics that are compared, as `workflows.training_evaluation` logs them, and their names."""

_SEED = "seed"


def settings_of(overrides: Sequence[Sequence[str]]) -> list[str]:
    """What distinguishes each training of a sweep from the others apart from its seed: its
    overrides, but for the seed's and for those that every training has.
    """
    shared = set(overrides[0]).intersection(*overrides) if len(overrides) > 1 else set()
    return [
        " ".join(sorted(one for one in own if one not in shared and one.partition("=")[0] != _SEED))
        or "default"
        for own in overrides
    ]


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
    """Write ``comparison.png`` and ``.svg``: a panel a metric, a dot a training, a bar the mean."""
    shown = {m: label for m, label in METRICS.items() if m in trainings}
    settings = list(dict.fromkeys(trainings["setting"]))
    with style.house_style():
        figure = style.new_figure(width=7.6, height=0.9 + len(shown) * (0.55 + 0.3 * len(settings)))
        panels = figure.subplots(max(1, len(shown)), 1, squeeze=False)[:, 0]
        for panel, (metric, label) in zip(panels, shown.items(), strict=False):
            for place, setting in enumerate(settings):
                values = trainings.loc[trainings["setting"] == setting, metric].dropna()
                panel.plot(
                    values, [place] * len(values), "o", color=style.BLUE, alpha=0.6, markersize=5
                )
                if len(values):
                    panel.plot([values.mean()], [place], "|", color=style.BLACK, markersize=16)
            panel.set_yticks(range(len(settings)), settings)
            panel.set_ylim(len(settings) - 0.5, -0.5)
            panel.set_title(label, loc="left")
        return style.save(figure, folder, "comparison")
