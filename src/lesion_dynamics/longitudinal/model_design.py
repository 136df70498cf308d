"""Covariates and transformed volumes of the models, and what could not be used of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesion_dynamics.settings.models import Covariate, Transform

MISSING_AT_MOST = 0.1
"""A covariate missing in more participants than this share is left out, not the participants."""

Floats = NDArray[np.float64]
TRANSFORM_UNIT: dict[Transform, str] = {"cube_root": "mm", "log1p": "", "none": "mm3"}


def transformed(volumes: Floats, transform: Transform) -> Floats:
    """Volumes on the model's scale: (mm3)^(1/3) in mm, ln(1 + mm3), or mm3."""
    if transform == "cube_root":
        return np.cbrt(volumes)
    return np.log1p(volumes) if transform == "log1p" else volumes


@dataclass(frozen=True)
class Covariates:
    """(n, k) columns of covariates, which rows have them, and what was left out, in words."""

    columns: Floats
    usable: NDArray[np.bool_]
    note: str


def covariate_columns(
    rows: pd.DataFrame, wanted: Sequence[Covariate], *, main: Floats
) -> Covariates:
    """Numeric columns of ``wanted``, as far as the data carry them.

    Parameters
    ----------
    rows : participant_id, age_years, sex, scanner; a row a scan or a participant.
    main : (n, p) columns that stay in any case; a covariate that they or earlier covariates
        tell already (a scanner that only one diagnosis was scanned on, say) is left out.
    """
    usable, notes = np.ones(len(rows), dtype=bool), []
    built: list[tuple[Covariate, pd.DataFrame]] = []
    for name in wanted:
        source = rows["age_years" if name == "age" else name]
        share = 1 - rows.loc[source.notna(), "participant_id"].nunique() / max(
            1, rows["participant_id"].nunique()
        )
        if share > MISSING_AT_MOST:
            notes.append(f"{name} left out: missing in {share:.0%} of participants")
            continue
        usable &= source.notna().to_numpy(dtype=bool)
        if name == "age":
            built.append((name, source.to_frame("age")))
        else:
            built.append((name, pd.get_dummies(source, drop_first=True)))
    kept = main[usable]
    columns = np.empty((len(rows), 0))
    for name, candidate in built:
        values = candidate.to_numpy(dtype=np.float64)
        if name == "age":
            values = values - np.nanmean(values)
        together = np.column_stack([kept, values[usable]])
        if values.shape[1] == 0 or np.linalg.matrix_rank(together) < together.shape[1]:
            notes.append(f"{name} left out: the same for everyone, or told by the others")
            continue
        kept, columns = together, np.column_stack([columns, values])
    lost = rows.loc[~usable, "participant_id"].nunique()
    if lost:
        notes.append(f"{lost} participants without a covariate left out")
    return Covariates(columns=columns, usable=usable, note="; ".join(notes))
