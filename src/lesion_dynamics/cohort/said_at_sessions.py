"""What tables say of a participant at a session: age and sex, to be held against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lesion_dynamics.cohort.cohort import SAID_COLUMNS
from lesion_dynamics.cohort.tables import SEX


def said_at_sessions(columns: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Rows that say an age or a sex.

    Parameters
    ----------
    columns : text of participant_id, session_id, age and sex. A cell that is no age (``89+`` is
        none: it is a bound) or no sex counts as not said.

    Returns
    -------
    `SAID_COLUMNS`; age_years is float64 (NaN: not said), sex is F, M or None.
    """
    ages = pd.to_numeric(pd.Series(columns["age"], dtype="str"), errors="coerce")
    table = pd.DataFrame(
        {
            "participant_id": pd.Series(columns["participant_id"], dtype="str"),
            "session_id": pd.Series(columns["session_id"], dtype="str"),
            "age_years": ages.astype(np.float64).where(np.isfinite(ages)),
            "sex": pd.Series([SEX.get(sex.lower()) for sex in columns["sex"]], dtype="str"),
        }
    )
    said = table["age_years"].notna() | table["sex"].notna()
    return table.loc[said, SAID_COLUMNS].reset_index(drop=True)
