"""A sweep as an MLflow run, its trainings listed under it; no store has to answer for that."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics.records.spooled_run import SpooledRun
from lesion_dynamics.settings.tracking import TrackingSettings

_KEY_TAG = "sweep_key"
_OVERRIDES_TAG = "sweep_overrides"
_ONCE = 0
"""The step of metrics that a sweep has once."""


def start_or_go_on_with_sweep(tracking: TrackingSettings, *, key: str, name: str) -> SpooledRun:
    """The run of the sweep ``key``: a sweep that is started again goes on in the same run."""
    return SpooledRun.start_or_go_on(tracking, tag=_KEY_TAG, key=key, name=name)


def list_training(sweep: SpooledRun, run: str, overrides: Sequence[str]) -> None:
    """List a finished training under its sweep, with what distinguishes it.

    run : the store's id of the training's run, or its `SpooledRun.reference`.
    """
    sweep.list_run(run, {_OVERRIDES_TAG: json.dumps(list(overrides))})


def record_comparison(
    sweep: SpooledRun, *, comparison: pd.DataFrame, files: Sequence[Path]
) -> None:
    """The comparison's means as metrics and its files as artifacts."""
    means = {_metric_name(row): float(row["mean"]) for row in comparison.to_dict("records")}
    sweep.log_metrics(means, step=_ONCE)
    for path in files:
        sweep.log_file(path)


def record_best(sweep: SpooledRun, found: Mapping[str, Any], *, objective: str) -> None:
    """What a search has found."""
    sweep.log_json(dict(found), "best.json")
    sweep.log_metrics({objective: float(found["value"] or 0.0)}, step=_ONCE)


def _metric_name(row: Mapping[Any, Any]) -> str:
    # MLflow takes few signs in a name.
    setting = "".join(c if c.isalnum() or c in "._-/ " else "_" for c in str(row["setting"]))
    return f"{row['metric']} {setting}"[:250]
