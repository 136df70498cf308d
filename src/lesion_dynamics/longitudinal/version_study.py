"""One model version from its volumes to its statistics."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.longitudinal.change import change_per_participant, interval_changes
from lesion_dynamics.longitudinal.model_statistics import ModelInputs, model_rows
from lesion_dynamics.longitudinal.multiplicity import with_families
from lesion_dynamics.longitudinal.new_lesions import new_lesions
from lesion_dynamics.longitudinal.remission_stretches import longest_stretch, remission_stretches
from lesion_dynamics.longitudinal.robust_slope import ROBUST_SLOPE, robust_slopes
from lesion_dynamics.longitudinal.same_scans import SCAN, SameScans
from lesion_dynamics.longitudinal.study import study_statistics, table_of
from lesion_dynamics.settings.study import StudySettings


@dataclass(frozen=True)
class VersionInputs:
    """What is known of one model version.

    measurements : its rows of the table of volumes. common : scans that all versions measured.
    new_lesions : tracked new lesions of any model version, or None.
    """

    model_version: str
    measurements: pd.DataFrame
    tables: CohortTables
    common: SameScans
    new_lesions: pd.DataFrame | None = None


@dataclass(frozen=True)
class VersionStudy:
    """volumes : participant_id, session_id, lesion_volume_mm3 on the common scans.

    intervals : table of `interval_changes`. changes : table of `change_per_participant` with
    the robust slope. statistics : `STATISTICS_COLUMNS`.
    """

    volumes: pd.DataFrame
    intervals: pd.DataFrame
    changes: pd.DataFrame
    statistics: pd.DataFrame


def common_volumes(inputs: VersionInputs) -> pd.DataFrame:
    """participant_id, session_id, lesion_volume_mm3 of the scans that every version measured."""
    volumes = inputs.common.volumes
    return volumes.loc[
        volumes["model_version"] == inputs.model_version, [*SCAN, "lesion_volume_mm3"]
    ]


def changes_of(
    volumes: pd.DataFrame,
    intervals: pd.DataFrame,
    *,
    participants: pd.DataFrame,
    common: SameScans,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Table of `change_per_participant` with the robust slope, and the remission stretches."""
    changed = interval_changes(intervals, volumes)
    people = change_per_participant(
        participants,
        common.sessions,
        volumes,
        changed,
        sessions_left_out=common.left_out.groupby("participant_id").size(),
    )
    stretches = remission_stretches(intervals, volumes, common.sessions)
    slopes = people["participant_id"].map(robust_slopes(stretches)).astype("float64")
    people.insert(list(people.columns).index("reason"), ROBUST_SLOPE, slopes)
    return people, stretches


def study_of_version(
    inputs: VersionInputs, intervals: pd.DataFrame, settings: StudySettings
) -> VersionStudy:
    """All estimates of one model version over ``intervals`` (`session_intervals`)."""
    volumes = common_volumes(inputs)
    participants = inputs.tables.participants
    people, stretches = changes_of(
        volumes, intervals, participants=participants, common=inputs.common
    )
    tracked = inputs.new_lesions
    if tracked is not None:
        tracked = tracked[tracked["model_version"] == inputs.model_version]
    models = ModelInputs(
        stretches=longest_stretch(stretches),
        changes=people,
        participants=participants,
        new_lesions=new_lesions(intervals, inputs.measurements, tracked),
    )
    statistics = pd.concat(
        [
            study_statistics(people, model_version=inputs.model_version, settings=settings),
            table_of(model_rows(models, settings), model_version=inputs.model_version),
        ],
        ignore_index=True,
    )
    return VersionStudy(
        volumes=volumes,
        intervals=interval_changes(intervals, volumes),
        changes=people,
        statistics=with_families(statistics, settings.families),
    )
