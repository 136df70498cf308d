"""Measured, true and published: the same estimate from every source in one row."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lesion_dynamics.longitudinal.measurements import TRUTH
from lesion_dynamics.longitudinal.study import PRIMARY
from lesion_dynamics.settings.study import Publication

KEY = ["diagnosis", "quantity", "statistic"]
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


def side_by_side(statistics: pd.DataFrame, publication: Publication | None) -> pd.DataFrame:
    """One row a model version and primary estimate, the truth and the publication beside it.

    Parameters
    ----------
    statistics : `STATISTICS_COLUMNS` of all model versions, the truth among them or not.
    publication : published figures, or None.

    Returns
    -------
    `COMPARISON_COLUMNS`. What a source does not give is NaN; the ratio to a true value of zero
    is NaN.
    """
    primary = statistics[statistics["role"] == PRIMARY]
    measured = primary[primary["model_version"] != TRUTH].rename(
        columns={
            "estimate": "measured",
            "interval_low": "measured_interval_low",
            "interval_high": "measured_interval_high",
            "p_value": "measured_p_value",
        }
    )
    true = primary.loc[primary["model_version"] == TRUTH, [*KEY, "estimate", "p_value"]].rename(
        columns={"estimate": "true", "p_value": "true_p_value"}
    )
    table = measured.merge(true, on=KEY, how="left", validate="many_to_one").merge(
        published_figures(publication), on=KEY, how="left", validate="many_to_one"
    )
    table["measured_minus_true"] = table["measured"] - table["true"]
    table["measured_over_true"] = table["measured"] / table["true"].where(
        table["true"] != 0, np.nan
    )
    bound = table["published_p_value_is_bound"]
    table["published_p_value_is_bound"] = bound.where(table["published_p_value"].notna(), None)
    return table[list(COMPARISON_COLUMNS)]


def unmatched(statistics: pd.DataFrame, publication: Publication | None) -> list[str]:
    """Published figures that no estimate of ``statistics`` answers; a misspelt key, usually."""
    known = set(statistics[KEY].itertuples(index=False, name=None))
    asked = published_figures(publication)[KEY].itertuples(index=False, name=None)
    return [" / ".join(map(str, key)) for key in asked if tuple(key) not in known]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
