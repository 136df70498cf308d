"""Measured volumes against true ones, where a phantom knows them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.estimate import Estimate
from lesion_dynamics.longitudinal.medians import median
from lesion_dynamics.longitudinal.same_scans import SCAN
from lesion_dynamics.longitudinal.study import SECONDARY, Row, table_of
from lesion_dynamics.settings.study import StudySettings


def volume_errors(
    measured: pd.DataFrame,
    true: pd.DataFrame,
    participants: pd.DataFrame,
    *,
    model_version: str,
    settings: StudySettings,
) -> pd.DataFrame:
    """Signed volume error by diagnosis: a bias that differs fakes a difference of the groups.

    Parameters
    ----------
    measured, true : participant_id, session_id, lesion_volume_mm3 of the same scans.
    participants : `CohortTables.participants`.

    Returns
    -------
    `STATISTICS_COLUMNS`: by diagnosis the median over participants of their mean error, the
    same in each third of the diagnosis' participants by true mean volume (load), and of
    the mean volume given to scans that truly have no lesion.
    """
    scans = measured.merge(true, on=SCAN, suffixes=("", "_true"), validate="one_to_one")
    scans = scans.merge(participants[["participant_id", "diagnosis"]], on="participant_id")
    scans["error"] = scans["lesion_volume_mm3"] - scans["lesion_volume_mm3_true"]
    rows = [row for diagnosis in DIAGNOSES for row in _of(scans, diagnosis, settings)]
    return table_of(rows, model_version=model_version)


def _of(scans: pd.DataFrame, diagnosis: str, settings: StudySettings) -> Iterator[Row]:
    group = scans[scans["diagnosis"] == diagnosis]
    yield Row(
        diagnosis, "volume_error_mm3", "median", "mm3", _per_participant(group, "error", settings)
    )
    for load, own in _by_load(group):
        error = _per_participant(own, "error", settings)
        statistic = f"median, {load} load"
        yield Row(diagnosis, "volume_error_mm3", statistic, "mm3", error, SECONDARY)
    free = group[group["lesion_volume_mm3_true"] == 0]
    given = _per_participant(free, "lesion_volume_mm3", settings)
    if free.empty:
        given = Estimate(note="no scan is truly free of lesions")
    yield Row(diagnosis, "volume_in_lesion_free_scans_mm3", "median", "mm3", given)


def _by_load(group: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Scans of the participants of each third of the diagnosis' true mean volumes."""
    load = group.groupby("participant_id", sort=True)["lesion_volume_mm3_true"].mean()
    place = load.rank(method="first") / max(1, len(load))
    for name, low, high in (("low", 0, 1 / 3), ("middle", 1 / 3, 2 / 3), ("high", 2 / 3, 1)):
        # A rank of exactly a third belongs below; rounding must not move it.
        own = place.index[(place > low + 1e-9) & (place <= high + 1e-9)]
        yield name, group[group["participant_id"].isin(own)]


def _per_participant(scans: pd.DataFrame, column: str, settings: StudySettings) -> Estimate:
    means = scans.groupby("participant_id", sort=True)[column].mean().to_numpy(dtype=np.float64)
    return median(
        means,
        level=settings.interval_level,
        draws=settings.bootstrap_draws,
        seed=settings.seed,
    )
