"""Cohorts of the phantom's participants, without images: its truth, and a segmenter's volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lesion_dynamics.cohort.cohort import DIAGNOSES, CohortTables
from lesion_dynamics.longitudinal.measurements import TRUTH, check_measurements
from lesion_dynamics.phantom.disease_course import ParticipantCourse, simulate_study
from lesion_dynamics.settings.measurement_error import VolumeErrorFigures
from lesion_dynamics.settings.phantom import PhantomSettings
from lesion_dynamics.workflows.analysis_inputs import AnalysisInputs

N_MS, N_NMOSD = 31, 30
LESION_FREE_SHARE = 5 / 30
IRREGULAR_SHARE = 2 / 31
SEGMENTER = "segmenter/1"
Figures = Mapping[str, VolumeErrorFigures]


@dataclass(frozen=True)
class Population:
    """Many participants of the phantom's course, and their tables.

    courses : MS first. tables : of all of them. new_lesions : tracked, of the truth.
    """

    courses: Sequence[ParticipantCourse]
    tables: CohortTables
    volumes: pd.DataFrame
    new_lesions: pd.DataFrame


def population(each: int, *, seed: int) -> Population:
    """``each`` participants a diagnosis, as the phantom draws its study.

    The phantom's study is stratified: its medians are met exactly. Cohorts are therefore drawn at
    random from one large study, so that they scatter as samples do.
    """
    courses = simulate_study(
        PhantomSettings(
            seed=seed, study_ms=each, study_nmosd=each,
            study_lesion_free=round(LESION_FREE_SHARE * each),
            irregular_participants=round(IRREGULAR_SHARE * each),
        )
    )  # fmt: skip
    people, sessions, attacks, volumes, new = [], [], [], [], []
    for course in courses:
        plan, name = course.schedule, course.participant_id
        people.append((name, plan.diagnosis, float(plan.age), plan.sex, plan.scanners[0]))
        attacks += [(name, float(day)) for day in plan.attacks]
        counts = (course.lesions.volumes_mm3 > 0).sum(axis=0)
        visits = list(zip(plan.session_ids, plan.days, plan.scanners, strict=True))
        for at, (session, day, scanner) in enumerate(visits):
            sessions.append((name, session, float(day), scanner))
            volumes.append((name, session, float(course.totals_mm3[at]), int(counts[at])))
        for at in range(1, len(visits)):
            before, after = (course.lesions.volumes_mm3[:, i] > 0 for i in (at - 1, at))
            ends = (visits[at - 1][0], visits[at][0])
            new.append((name, *ends, TRUTH, int((after & ~before).sum())))
    return Population(
        courses=courses,
        tables=CohortTables(
            participants=_table(people, "participant_id diagnosis age_years sex scanner"),
            sessions=_table(sessions, "participant_id session_id days_from_baseline scanner"),
            attacks=_table(attacks, "participant_id days_from_baseline"),
            attacks_recorded=True,
        ),
        volumes=_table(volumes, "participant_id session_id lesion_volume_mm3 lesion_count"),
        new_lesions=_table(
            new,
            "participant_id start_session_id end_session_id model_version new_lesion_count",
        ),
    )


def _table(rows: list[tuple[object, ...]], columns: str) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns.split())


def whole(everyone: Population) -> AnalysisInputs:
    """The population itself, without error: where the true values come from."""
    return _inputs(everyone, set(everyone.tables.participants["participant_id"]), [])


def cohort(everyone: Population, figures: Figures, rng: np.random.Generator) -> AnalysisInputs:
    """31 MS and 30 NMOSD participants at random: their truth, and a segmenter's volumes."""
    people = everyone.tables.participants
    chosen: set[str] = set()
    for diagnosis, n in zip(DIAGNOSES, (N_MS, N_NMOSD), strict=True):
        names = people.loc[people["diagnosis"] == diagnosis, "participant_id"].to_numpy()
        chosen |= set(rng.choice(names, n, replace=False))
    own = everyone.volumes[everyone.volumes["participant_id"].isin(chosen)]
    diagnosis = own["participant_id"].map(people.set_index("participant_id")["diagnosis"])
    seen = own["lesion_volume_mm3"].to_numpy(dtype=np.float64).copy()
    for name, figure in figures.items():
        rows = (diagnosis == name).to_numpy(dtype=bool)
        expected = figure.offset_mm3 + figure.gain * seen[rows]
        spread = np.hypot(figure.noise_mm3, figure.noise_share * expected)
        seen[rows] = np.maximum(expected + spread * rng.standard_normal(int(rows.sum())), 0)
    measured = own.assign(model_version=SEGMENTER, lesion_volume_mm3=seen)
    return _inputs(everyone, chosen, [measured])


def _inputs(everyone: Population, chosen: set[str], measured: list[pd.DataFrame]) -> AnalysisInputs:
    def of(table: pd.DataFrame) -> pd.DataFrame:
        return table[table["participant_id"].isin(chosen)].reset_index(drop=True)

    tables = everyone.tables
    truth = of(everyone.volumes).assign(model_version=TRUTH)
    return AnalysisInputs(
        tables=CohortTables(
            of(tables.participants), of(tables.sessions), of(tables.attacks), attacks_recorded=True
        ),
        measurements=check_measurements(
            pd.concat([*measured, truth], ignore_index=True), where="phantom"
        ),
        hashes={},
        new_lesions=of(everyone.new_lesions),
    )
