"""Model versions are compared on the scans that every one of them measured."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from lesion_dynamics.longitudinal.measurements import FAILED, model_versions

SCAN = ["participant_id", "session_id"]


@dataclass(frozen=True)
class SameScans:
    """Volumes on common scans, and the scans left out.

    volumes : participant_id, session_id, model_version, lesion_volume_mm3; every model version
        has the same scans.
    sessions : the rows of the cohort's sessions that are among them.
    left_out : participant_id, session_id, reason; sessions of the cohort without a volume.
    """

    volumes: pd.DataFrame
    sessions: pd.DataFrame
    left_out: pd.DataFrame


def same_scans(measurements: pd.DataFrame, sessions: pd.DataFrame) -> SameScans:
    """Keep the scans that every model version of ``measurements`` measured.

    Parameters
    ----------
    measurements : a checked table whose scans are all sessions of the cohort.
    sessions : the cohort's sessions (`CohortTables.sessions`).
    """
    reasons = [
        _reasons(measurements, sessions, version) for version in model_versions(measurements)
    ]
    left_out = (
        pd.concat(reasons, ignore_index=True)
        .groupby(SCAN, sort=True)["reason"]
        .agg("; ".join)
        .reset_index()
    )
    volumes = measurements[[*SCAN, "model_version", "lesion_volume_mm3"]]
    return SameScans(
        volumes=_without(volumes, left_out),
        sessions=_without(sessions, left_out),
        left_out=left_out,
    )


def _reasons(measurements: pd.DataFrame, sessions: pd.DataFrame, version: str) -> pd.DataFrame:
    """Sessions that ``version`` did not measure: participant_id, session_id, reason."""
    rows = measurements.loc[measurements["model_version"] == version, [*SCAN, "status", "reason"]]
    every = sessions[SCAN].merge(rows, on=SCAN, how="left")
    absent = every["status"].isna()
    failed = every["status"] == FAILED
    every["reason"] = every["reason"].where(~absent, "not in the table")
    bad = every.loc[absent | failed, [*SCAN, "reason"]]
    return bad.assign(reason=[f"{version}: {reason}" for reason in bad["reason"]])


def _without(table: pd.DataFrame, left_out: pd.DataFrame) -> pd.DataFrame:
    excluded = pd.MultiIndex.from_frame(left_out[SCAN])
    keep = ~pd.MultiIndex.from_frame(table[SCAN]).isin(excluded)
    return table[keep].reset_index(drop=True)
