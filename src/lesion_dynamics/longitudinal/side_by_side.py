"""Measured, true and published: the same estimate from every source in one row."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lesion_dynamics.longitudinal.measurements import TRUTH
from lesion_dynamics.longitudinal.study import PRIMARY, SECONDARY, SENSITIVITY
from lesion_dynamics.settings.study import Publication

KEY = ["diagnosis", "quantity", "statistic"]
AFTER_CALIBRATION = "after calibration"
CORRECTED_ROLE = "corrected"
COMPARISON_COLUMNS = (
    "model_version",
    *KEY,
    "unit",
    "measured",
    "measured_interval_low",
    "measured_interval_high",
    "measured_p_value",
    "true",
    "true_p_value",
    "measured_minus_true",
    "measured_over_true",
    "published",
    "published_p_value",
    "published_p_value_is_bound",
    "n",
    "note",
    "role",
    "true_in_interval",
)


def published_figures(publication: Publication | None) -> pd.DataFrame:
    """Published figures as a table: diagnosis, quantity, statistic, published, and its p."""
    figures = publication.figures if publication else ()
    return pd.DataFrame.from_records(
        [
            {
                "diagnosis": figure.diagnosis,
                "quantity": figure.quantity,
                "statistic": figure.statistic,
                "published": _number(figure.estimate),
                "published_p_value": _number(figure.p_value),
                "published_p_value_is_bound": figure.p_value_is_bound,
            }
            for figure in figures
        ],
        columns=[*KEY, "published", "published_p_value", "published_p_value_is_bound"],
    )


def side_by_side(
    statistics: pd.DataFrame, publication: Publication | None, *, errors: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row a model version and estimate, the truth and the publication beside it.

    Parameters
    ----------
    statistics : `STATISTICS_COLUMNS` of all model versions, the truth among them or not.
    publication : published figures, or None.
    errors : `error_in_answer` of all model versions: its corrected estimates stand beside the
        same true values.

    Returns
    -------
    `COMPARISON_COLUMNS`, primary estimates before secondary and corrected ones. What a source does
    not give is NaN; the ratio to a true value of zero is NaN. true_in_interval : yes, no or n/a.
    """
    rows = statistics[statistics["role"] != SENSITIVITY]
    measured = pd.concat(
        [rows[(rows["model_version"] != TRUTH) & (rows["role"] == role)]
         for role in (PRIMARY, SECONDARY)]
        + ([_corrected(errors)] if errors is not None else []),
        ignore_index=True,
    ).rename(
        columns={
            "estimate": "measured",
            "interval_low": "measured_interval_low",
            "interval_high": "measured_interval_high",
            "p_value": "measured_p_value",
        }
    )  # fmt: skip
    true = rows.loc[rows["model_version"] == TRUTH, [*KEY, "estimate", "p_value"]].rename(
        columns={"estimate": "true", "p_value": "true_p_value", "statistic": "of"}
    )
    # "shift, deconvolved after calibration" estimates the true shift; no other name has a comma
    # and a true value.
    named = set(true["of"])
    of = [name if name in named else name.split(",")[0] for name in measured["statistic"]]
    keys = [KEY[0], KEY[1], "of"]
    table = (
        measured.assign(of=of)
        .merge(true, on=keys, how="left", validate="many_to_one")
        .merge(published_figures(publication), on=KEY, how="left", validate="many_to_one")
    )
    return _with_differences(table)[list(COMPARISON_COLUMNS)]


def _corrected(errors: pd.DataFrame) -> pd.DataFrame:
    """Estimates of `error_in_answer` that stand for a row of the statistics."""
    named = errors["statistic"].str.endswith(AFTER_CALIBRATION)
    found = errors[named & errors["estimate"].notna()]
    return found.assign(role=CORRECTED_ROLE)


def _with_differences(table: pd.DataFrame) -> pd.DataFrame:
    found = table.copy()
    found["measured_minus_true"] = table["measured"] - table["true"]
    found["measured_over_true"] = table["measured"] / table["true"].where(
        table["true"] != 0, np.nan
    )
    bound = table["published_p_value_is_bound"]
    found["published_p_value_is_bound"] = bound.where(table["published_p_value"].notna(), None)
    low, high = table["measured_interval_low"], table["measured_interval_high"]
    inside = (low <= table["true"]) & (table["true"] <= high)
    known = low.notna() & high.notna() & table["true"].notna()
    found["true_in_interval"] = np.where(known, np.where(inside, "yes", "no"), "n/a")
    return found


def unmatched(statistics: pd.DataFrame, publication: Publication | None) -> list[str]:
    """Published figures that no estimate of ``statistics`` answers; a misspelt key, usually."""
    known = set(statistics[KEY].itertuples(index=False, name=None))
    asked = published_figures(publication)[KEY].itertuples(index=False, name=None)
    return [" / ".join(map(str, key)) for key in asked if tuple(key) not in known]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
