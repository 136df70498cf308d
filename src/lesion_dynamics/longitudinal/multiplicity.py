"""Holm's correction within families that were declared before the analysis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesion_dynamics.settings.models import Family


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjusted p-values that control the family-wise error rate, whatever the dependence.

    A missing p (NaN) was not tested: it stays NaN and does not count.

    Source: Holm, Scand J Stat 1979;6:65-70; R's ``p.adjust(method = "holm")``.
    """
    adjusted = np.full(p_values.size, np.nan)
    order = np.argsort(p_values, kind="stable")
    order = order[np.isfinite(p_values[order])]
    factors = order.size - np.arange(order.size)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * p_values[order]))
    return adjusted


def with_families(statistics: pd.DataFrame, families: Sequence[Family]) -> pd.DataFrame:
    """``statistics`` of one model version with the columns family and p_value_holm filled.

    Sensitivity rows repeat a test with another method; they belong to no family.
    """
    found = statistics.copy()
    main = found["role"] != "sensitivity"
    for family in families:
        keys = {(m.diagnosis, m.quantity, m.statistic) for m in family.members}
        rows = zip(found["diagnosis"], found["quantity"], found["statistic"], strict=True)
        chosen = np.array([key in keys for key in rows], dtype=bool) & main.to_numpy(dtype=bool)
        found.loc[chosen, "family"] = family.name
        p_values = found.loc[chosen, "p_value"].to_numpy(dtype=np.float64)
        found.loc[chosen, "p_value_holm"] = holm(p_values)
    return found


def unmatched_members(statistics: pd.DataFrame, families: Sequence[Family]) -> list[str]:
    """Members of families that no row answers; a misspelt key, usually."""
    known = set(
        statistics[["diagnosis", "quantity", "statistic"]].itertuples(index=False, name=None)
    )
    return [
        f"{family.name}: {m.diagnosis} / {m.quantity} / {m.statistic}"
        for family in families
        for m in family.members
        if (m.diagnosis, m.quantity, m.statistic) not in known
    ]
