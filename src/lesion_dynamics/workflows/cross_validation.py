"""Folds taken together: every participant validated once, by the network that never saw them.

A mean over the folds' means weighs a fold of two scans like one of three. Here the scans count:
each fold's mean is weighted with the number of its scans where the metric is defined, which gives
the mean over all scans. Every fold chose its own operating point on its own validation scans, so
the figures flatter as those of any single training do. Calibration errors are ratios of other
counts and have no such mean: they are left out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics.atomic_files import write_text
from lesion_dynamics.model_version import ModelVersion

_LOG = logging.getLogger(__name__)
METRICS = {
    "mean_dice": "dice",
    "mean_lesion_sensitivity": "lesion_sensitivity",
    "mean_lesion_precision": "lesion_precision",
    "mean_lesion_f1": "lesion_f1",
    "mean_hd95_mm": "hd95_mm",
    "mean_volume_difference_mm3": None,
    "mean_absolute_volume_difference_mm3": None,
    "mean_reference_volume_mm3": None,
    "mean_predicted_volume_mm3": None,
}
"""Means over scans in a validation record, and whose ``_undefined_count`` belongs to each; None:
defined for every scan."""


def fold_validated(version: ModelVersion, config: Any) -> dict[str, Any]:
    """What is kept of a training for later: which fold it was, and what it measured.

    config : of the job. A finished training that is found again may be of another job that split
        alike, so its own configuration does not say it.
    """
    record = version.manifest.validation
    sides = version.manifest.training.get("participants", {})
    return {
        "seed": int(config.seed),
        "split_seed": int(config.seed if config.split_seed is None else config.split_seed),
        "fold": int(config.fold),
        "folds": int(config.folds),
        "participants": list(sides.get("validation", [])),
        "all": record["all"],
        "by_diagnosis": record.get("by_diagnosis", {}),
        "each": record.get("each", []),
    }


def write_cross_validation(folder: Path, trainings: Sequence[Mapping[str, Any]]) -> list[Path]:
    """``cross_validation.tsv`` and ``cross_validation_scans.tsv``; nothing without folds.

    trainings : as `fold_validated` keeps them, with their ``setting``.
    """
    together = cross_validation(trainings)
    if together.empty:
        return []
    paths = [folder / "cross_validation.tsv", folder / "cross_validation_scans.tsv"]
    for path, table in zip(paths, (together, scan_table(trainings)), strict=True):
        write_text(path, table.to_csv(sep="\t", index=False, na_rep="n/a"))
    over_all = together[together["diagnosis"] == "all"].drop(columns="diagnosis")
    _LOG.info(
        "all folds together, each scan once\n%s", over_all.to_string(index=False, na_rep="n/a")
    )
    return paths


def pooled(folds: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float | None, int, int]]:
    """Mean over all scans, and for how many scans it is defined and undefined, by metric.

    folds : of each fold, the summary that `lesions.agreement.summarise` made of its scans.
    """
    found: dict[str, tuple[float | None, int, int]] = {}
    for metric, counted in METRICS.items():
        total, defined, undefined = 0.0, 0, 0
        for fold in folds:
            missing = 0 if counted is None else int(fold.get(f"{counted}_undefined_count", 0))
            there = int(fold["scan_count"]) - missing if metric in fold else 0
            total += there * float(fold.get(metric, 0.0))
            defined += there
            undefined += int(fold["scan_count"]) - there
        found[metric] = (total / defined if defined else None, defined, undefined)
    return found


SCAN_COLUMNS = (
    "participant_id", "session_id", "dice", "lesion_f1", "hd95_mm",
    "reference_volume_mm3", "predicted_volume_mm3", "volume_difference_mm3",
    "reference_lesion_count", "predicted_lesion_count",
)  # fmt: skip
"""Of a validation record's scans."""


def scan_table(trainings: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a setting, seed and validated scan, in the order of the participants: setting, seed,
    fold ("1 of 3") and `SCAN_COLUMNS`. Trainings without folds are left out.
    """
    rows = [
        {
            "setting": one["setting"],
            "seed": one["seed"],
            "fold": f"{one['fold']} of {one['folds']}",
            **{name: scan.get(name) for name in SCAN_COLUMNS},
        }
        for one in trainings
        if one["folds"] > 1
        for scan in one["each"]
    ]
    order = {setting: place for place, setting in enumerate(one["setting"] for one in trainings)}
    rows.sort(
        key=lambda row: (
            order[row["setting"]], row["seed"], row["participant_id"], row["session_id"],
        )
    )  # fmt: skip
    return pd.DataFrame(rows)


def cross_validation(trainings: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """All folds of each setting and seed as one validation.

    Parameters
    ----------
    trainings : as `fold_validated` keeps them, with their ``setting``. Those without folds are
        left out.

    Returns
    -------
    One row a setting, seed, diagnosis ("all" first) and metric: setting, seed, folds ("2 of 3":
    so many are there), participants, diagnosis, metric, mean, scans (where it is defined),
    undefined. Empty without folds.

    Raises
    ------
    ValueError : a participant validated in two folds of one cross-validation.
    """
    groups: dict[tuple[str, int, int, int], list[Mapping[str, Any]]] = {}
    for one in trainings:
        if one["folds"] > 1:
            key = (one["setting"], one["seed"], one["split_seed"], one["folds"])
            groups.setdefault(key, []).append(one)
    rows = []
    for (setting, seed, _, folds), members in groups.items():
        people = [who for one in members for who in one["participants"]]
        if len(people) != len(set(people)):
            raise ValueError(f"{setting}, seed {seed}: a participant validated twice")
        diagnoses = sorted({name for one in members for name in one["by_diagnosis"]})
        shared = {
            "setting": setting,
            "seed": seed,
            "folds": f"{len(members)} of {folds}",
            "participants": len(people),
        }
        for diagnosis in ("all", *diagnoses):
            summaries = [
                one["all"] if diagnosis == "all" else one["by_diagnosis"][diagnosis]
                for one in members
                if diagnosis == "all" or diagnosis in one["by_diagnosis"]
            ]
            for metric, (mean, defined, undefined) in pooled(summaries).items():
                rows.append(
                    {
                        **shared,
                        "diagnosis": diagnosis,
                        "metric": metric,
                        "mean": mean,
                        "scans": defined,
                        "undefined": undefined,
                    }
                )
    return pd.DataFrame(rows)
