"""Does a conclusion survive the change of the model version? One plain word and its reason."""

from __future__ import annotations

import math

import pandas as pd

from lesion_dynamics.longitudinal.side_by_side import KEY
from lesion_dynamics.longitudinal.study import SENSITIVITY
from lesion_dynamics.settings.study import StudySettings

KEPT, WEAKENED, LOST, REVERSED = "kept", "weakened", "lost", "reversed"
GAINED = "gained"
"""Not shown before, shown now."""
UNKNOWN = "cannot be judged"
VERDICT_COLUMNS = (
    "reference", "model_version", "diagnosis", "quantity", "statistic", "verdict", "reason",
    "reference_estimate", "estimate", "unit", "reference_p_value", "p_value",
)  # fmt: skip


def verdict(
    reference: tuple[float, float],
    other: tuple[float, float],
    gap: tuple[float, float],
    *,
    alpha: float,
) -> tuple[str, str]:
    """The verdict and its reason.

    Parameters
    ----------
    reference, other : estimate and p-value.
    gap : interval of the paired difference other - reference; NaN where there is none.
    alpha : a p below it counts as shown.

    kept : both shown with the same sign, or neither shown. weakened : both shown, but the
    estimate moved towards zero by more than chance (the interval of the paired difference
    leaves zero out). lost : shown before only. gained : shown now only. reversed : both shown
    with opposite signs.
    """
    if any(math.isnan(value) for value in (*reference, *other)):
        return UNKNOWN, "one of the two has no estimate or no p-value"
    shown = reference[1] < alpha, other[1] < alpha
    p_values = f"p {_p(reference[1])} and {_p(other[1])}"
    if shown == (True, True):
        if reference[0] * other[0] < 0:
            return REVERSED, f"both shown, with opposite signs ({p_values})"
        towards_zero = abs(other[0]) < abs(reference[0])
        apart = not math.isnan(gap[0]) and (gap[0] > 0 or gap[1] < 0)
        if towards_zero and apart:
            share = other[0] / reference[0]
            return WEAKENED, f"both shown, but {share:.0%} of the estimate is left ({p_values})"
        return KEPT, f"both shown ({p_values})"
    if shown == (False, False):
        return KEPT, f"shown by neither ({p_values})"
    if shown == (True, False):
        return LOST, f"shown before, not now ({p_values})"
    return GAINED, f"not shown before, shown now ({p_values})"


def verdicts(
    statistics: pd.DataFrame,
    differences: pd.DataFrame,
    *,
    names: tuple[str, str],
    settings: StudySettings,
) -> pd.DataFrame:
    """A line for every tested estimate of both versions; `VERDICT_COLUMNS`.

    Parameters
    ----------
    statistics : `STATISTICS_COLUMNS` of both. differences : `DIFFERENCE_COLUMNS`.
    """
    tested = statistics[(statistics["role"] != SENSITIVITY) & (statistics["test"] != "")]
    sides = [tested[tested["model_version"] == name].set_index(KEY) for name in names]
    pair = (differences["reference"] == names[0]) & (differences["model_version"] == names[1])
    gaps = differences[pair].set_index(KEY)
    records = []
    for key in sides[0].index:
        if key not in sides[1].index:
            continue
        one, other = sides[0].loc[key], sides[1].loc[key]
        gap = (float("nan"), float("nan"))
        if key in gaps.index:
            gap = (float(gaps.loc[key, "interval_low"]), float(gaps.loc[key, "interval_high"]))
        # A ratio tells no difference at 1, not at 0.
        scale = math.log if key[-1] == "rate ratio" else float
        values = [(scale(side["estimate"]), float(side["p_value"])) for side in (one, other)]
        word, reason = verdict(values[0], values[1], gap, alpha=1 - settings.interval_level)
        records.append(
            (*names, *key, word, reason, one["estimate"], other["estimate"], one["unit"],
             one["p_value"], other["p_value"])
        )  # fmt: skip
    return pd.DataFrame.from_records(records, columns=list(VERDICT_COLUMNS))


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"
