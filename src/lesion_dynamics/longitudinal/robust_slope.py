"""Change per year from all scans of a participant in remission."""

from __future__ import annotations

import numpy as np
import pandas as pd

ROBUST_SLOPE = "robust_slope_mm3_per_year"
_DECIMALS = 6


def robust_slopes(scans: pd.DataFrame) -> pd.Series[float]:
    """Theil-Sen slope of the lesion volume, indexed by participant_id.

    The median of the slopes between every two scans of the same remission stretch: unlike last
    minus first it uses every scan, and one bad scan of five cannot carry it away. With two
    scans it is their slope.

    Parameters
    ----------
    scans : table of `remission_stretches`, of any number of stretches a participant.

    Source: Sen, J Am Stat Assoc 1968;63:1379-1389.
    """
    part = scans[["participant_id", "stretch", "years", "lesion_volume_mm3"]]
    pairs = part.merge(part.drop(columns="participant_id"), on="stretch", suffixes=("", "_later"))
    years = pairs["years_later"] - pairs["years"]
    pairs = pairs[years > 0]
    change = pairs["lesion_volume_mm3_later"] - pairs["lesion_volume_mm3"]
    slopes = change / years[years > 0]
    found = slopes.groupby(pairs["participant_id"], sort=True).median().round(_DECIMALS)
    # Adding 0.0 turns a negative zero into a plain one.
    return found + np.float64(0.0)
