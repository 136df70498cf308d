"""The course of the full study, without images, against the published figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.cohort.remission import session_intervals
from lesion_dynamics.phantom.course_targets import TARGETS
from lesion_dynamics.phantom.disease_course import ParticipantCourse, simulate_study
from lesion_dynamics.settings.phantom import DEFAULT_SEED, PhantomSettings

PUBLISHED = {"MS": (3493.0, 4430.0, 193.0), "NMOSD": (640.0, 930.0, 25.0)}
VOXEL_MM3 = 1.5**3


@pytest.fixture(scope="module", params=[DEFAULT_SEED, 1])
def study(request: pytest.FixtureRequest) -> list[ParticipantCourse]:
    return simulate_study(PhantomSettings.of_variant("default", seed=request.param))


def of(study: list[ParticipantCourse], diagnosis: str) -> list[ParticipantCourse]:
    return [course for course in study if course.schedule.diagnosis == diagnosis]


def in_voxels(course: ParticipantCourse) -> np.ndarray:
    """Volumes as the masks will have them: whole voxels."""
    return np.rint(course.totals_mm3 / VOXEL_MM3) * VOXEL_MM3


def annualised_changes(courses: list[ParticipantCourse]) -> dict[str, float]:
    sessions = pd.DataFrame(
        [
            (course.participant_id, session, float(day), "one", volume)
            for course in courses
            for session, day, volume in zip(
                course.schedule.session_ids, course.schedule.days, in_voxels(course), strict=True
            )
        ],
        columns=["participant_id", "session_id", "days_from_baseline", "scanner", "volume"],
    )
    attacks = pd.DataFrame(
        [(c.participant_id, float(day)) for c in courses for day in c.schedule.attacks],
        columns=["participant_id", "days_from_baseline"],
    )
    people = pd.DataFrame({"participant_id": [c.participant_id for c in courses]})
    intervals = session_intervals(
        CohortTables(people, sessions, attacks, attacks_recorded=True), washout_days=90.0
    )
    assert not intervals["is_remission"].all()
    volume = sessions.set_index(["participant_id", "session_id"])["volume"]
    calm = intervals[intervals["is_remission"]]
    change = {
        name: sum(
            volume[name, row.end_session_id] - volume[name, row.start_session_id]
            for row in rows.itertuples()
        )
        / rows["interval_years"].sum()
        for name, rows in calm.groupby("participant_id")
    }
    return {str(name): float(value) for name, value in change.items()}


@pytest.mark.parametrize("diagnosis", ["MS", "NMOSD"])
def test_the_truth_has_the_published_medians(
    study: list[ParticipantCourse], diagnosis: str
) -> None:
    courses = of(study, diagnosis)
    first, last, rate = PUBLISHED[diagnosis]
    assert np.median([in_voxels(c)[0] for c in courses]) == pytest.approx(first, rel=0.05)
    assert np.median([in_voxels(c)[-1] for c in courses]) == pytest.approx(last, rel=0.05)
    assert np.median(list(annualised_changes(courses).values())) == pytest.approx(rate, abs=3.0)


def test_ms_increases_clearly_and_nmosd_hardly(study: list[ParticipantCourse]) -> None:
    ms = list(annualised_changes(of(study, "MS")).values())
    nmosd = list(annualised_changes(of(study, "NMOSD")).values())
    assert stats.wilcoxon(ms).pvalue < 0.001
    assert stats.wilcoxon(nmosd).pvalue > 0.01
    assert stats.mannwhitneyu(ms, nmosd).pvalue < 0.01


def test_some_nmosd_participants_never_have_a_lesion(study: list[ParticipantCourse]) -> None:
    free = [c for c in study if (c.totals_mm3 == 0).all()]
    assert len(free) == 5
    assert {c.schedule.diagnosis for c in free} == {"NMOSD"}
    assert all(c.lesions.volumes_mm3.sum() == 0 for c in free)


def test_the_study_has_its_size_scanners_and_schedule(study: list[ParticipantCourse]) -> None:
    assert len(of(study, "MS")) == 31
    assert len(of(study, "NMOSD")) == 30
    assert sum(len(c.schedule.days) for c in study) == 183
    assert {len(c.schedule.days) for c in study} == {2, 3, 4}
    assert len({scanner for c in study for scanner in c.schedule.scanners}) == 3
    assert any(len(set(c.schedule.scanners)) == 2 for c in study)
    assert all(c.schedule.days[0] == 0 for c in study)
    follow_up = np.mean([c.schedule.days[-1] for c in study]) / 365.25
    assert follow_up == pytest.approx(4.0, abs=0.1)


def test_single_lesions_add_up_to_the_total_at_every_session(
    study: list[ParticipantCourse],
) -> None:
    for course in study:
        volumes = course.lesions.volumes_mm3
        assert (volumes >= 0).all()
        np.testing.assert_allclose(volumes.sum(axis=0), course.totals_mm3, atol=1e-6)
    kinds = {kind for course in study for kind in course.lesions.kinds}
    assert kinds == {"stable", "growing", "shrinking", "resolving", "new"}


def test_longer_follow_up_and_washout_reach_the_course() -> None:
    usual = simulate_study(PhantomSettings(follow_up_years=4.0))
    longer = simulate_study(PhantomSettings(follow_up_years=6.0))
    assert np.mean([c.schedule.days[-1] for c in longer]) > 1.4 * np.mean(
        [c.schedule.days[-1] for c in usual]
    )
    # A washout longer than any follow-up leaves no remission: no rate is scaled to the target.
    none = simulate_study(PhantomSettings(washout_days=5000.0))
    assert any(
        not np.array_equal(a.totals_mm3, b.totals_mm3) for a, b in zip(usual, none, strict=True)
    )


def test_the_targets_are_the_published_figures() -> None:
    for diagnosis, (first, last, rate) in PUBLISHED.items():
        targets = TARGETS[diagnosis]
        assert (targets.first_mm3, targets.last_mm3, targets.change_mm3_per_year) == (
            first,
            last,
            rate,
        )
