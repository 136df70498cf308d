"""The rows of the statistics table that come from models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.longitudinal.count_statistics import count_rows
from lesion_dynamics.longitudinal.estimate import MINIMUM_PARTICIPANTS, Estimate, too_few
from lesion_dynamics.longitudinal.growth_model import growth, own_slopes
from lesion_dynamics.longitudinal.model_design import (
    TRANSFORM_UNIT,
    covariate_columns,
    transformed,
)
from lesion_dynamics.longitudinal.new_lesions import NewLesions
from lesion_dynamics.longitudinal.participant_bootstrap import (
    bca_interval,
    mean_differences,
    resampled_pairs,
)
from lesion_dynamics.longitudinal.permutation import permuted_difference
from lesion_dynamics.longitudinal.quantile_regression import quantile_effect
from lesion_dynamics.longitudinal.study import BETWEEN, SECONDARY, SENSITIVITY, Row
from lesion_dynamics.settings.study import StudySettings

GROWTH = "transformed_volume_slope"
RATE = "annualised_change_mm3_per_year"
RESAMPLED_UP_TO = 1000
"""Participants; above, resampling a model takes minutes."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ModelInputs:
    """What the models of one model version see.

    stretches : one remission stretch a participant (`longest_stretch`).
    changes : table of `change_per_participant`. participants : `CohortTables.participants`.
    """

    stretches: pd.DataFrame
    changes: pd.DataFrame
    participants: pd.DataFrame
    new_lesions: NewLesions


def model_rows(inputs: ModelInputs, settings: StudySettings) -> list[Row]:
    """Mixed model, permutation, quantile regression, negative-binomial model."""
    return [
        *_growth_rows(inputs, settings),
        *_permutation_row(inputs, settings),
        *_quantile_rows(inputs, settings),
        *count_rows(inputs.new_lesions, inputs.participants, settings),
    ]


def _growth_rows(inputs: ModelInputs, settings: StudySettings) -> Iterator[Row]:
    found = growth(
        inputs.stretches,
        inputs.participants,
        settings=settings.models,
        level=settings.interval_level,
        seed=settings.seed,
    )
    unit = _unit(settings)
    keys = (*DIAGNOSES, BETWEEN)
    for key, estimate in zip(keys, (*found.slopes, found.difference), strict=True):
        yield Row(key, GROWTH, "mixed model", unit, estimate, SECONDARY)
    for key, estimate in zip(keys, found.resampled, strict=False):
        yield Row(key, GROWTH, "mixed model", unit, estimate, SENSITIVITY)


def _unit(settings: StudySettings) -> str:
    return f"{TRANSFORM_UNIT[settings.models.transform] or '1'}/year"


def _permutation_row(inputs: ModelInputs, settings: StudySettings) -> Iterator[Row]:
    if settings.models.permutations == 0:
        return
    scans = inputs.stretches.merge(
        inputs.participants[["participant_id", "diagnosis"]], on="participant_id"
    )
    codes, who = pd.factorize(scans["participant_id"])
    volumes = transformed(
        scans["lesion_volume_mm3"].to_numpy(dtype=np.float64), settings.models.transform
    )
    years = scans["years"].to_numpy(dtype=np.float64)
    slopes = own_slopes(volumes, years, codes.astype(np.int64)) if len(scans) else np.empty(0)
    diagnosis = scans.drop_duplicates("participant_id")["diagnosis"].to_numpy()
    groups = [slopes[diagnosis == name] for name in DIAGNOSES]
    if len(who) > RESAMPLED_UP_TO:
        estimate = Estimate(n=len(who), note=f"not permuted: {len(who)} participants")
    else:
        estimate = permuted_difference(
            groups[0], groups[1], permutations=settings.models.permutations, seed=settings.seed
        )
        estimate = _with_bootstrap(estimate, groups, settings)
    yield Row(BETWEEN, GROWTH, "permutation", _unit(settings), estimate, SECONDARY)


def _with_bootstrap(estimate: Estimate, groups: list[Floats], settings: StudySettings) -> Estimate:
    """The difference of mean slopes with a BCa interval over participants."""
    if min(group.size for group in groups) < MINIMUM_PARTICIPANTS:
        return estimate
    drawn, jackknife = resampled_pairs(
        mean_differences, *groups, draws=settings.bootstrap_draws, seed=settings.seed
    )
    level = settings.interval_level
    low, high, method = bca_interval(estimate.estimate, drawn, jackknife, level=level)
    return estimate.with_interval(low, high, level=level, method=method) if method else estimate


def _quantile_rows(inputs: ModelInputs, settings: StudySettings) -> Iterator[Row]:
    rows = inputs.changes.dropna(subset=[RATE]).merge(
        inputs.participants.drop(columns="diagnosis"), on="participant_id"
    )
    ms = np.asarray(rows["diagnosis"] == DIAGNOSES[0], dtype=np.float64)
    main: Floats = np.column_stack([np.ones(len(rows)), ms])
    for quantile in settings.models.quantiles:
        if min(int(ms.sum()), int((1 - ms).sum())) < MINIMUM_PARTICIPANTS:
            fewest = min(int(ms.sum()), int((1 - ms).sum()))
            estimate = Estimate(n=len(rows), note=f"one diagnosis has {too_few(fewest)}")
        elif len(rows) > RESAMPLED_UP_TO:
            estimate = Estimate(n=len(rows), note=f"not computed: {len(rows)} participants")
        else:
            wanted = [name for name in settings.models.covariates if name != "scanner"]
            found = covariate_columns(rows, wanted, main=main)
            design = np.column_stack([main, found.columns])[found.usable]
            estimate = quantile_effect(
                rows[RATE].to_numpy(dtype=np.float64)[found.usable],
                design,
                quantile=quantile,
                column=1,
                strata=design[:, 1] == 1,
                draws=settings.models.bootstrap_draws,
                level=settings.interval_level,
                seed=settings.seed,
            ).noted(found.note)
        yield Row(BETWEEN, RATE, f"quantile {quantile:g}", "mm3/year", estimate, SECONDARY)
