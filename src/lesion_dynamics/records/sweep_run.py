"""A sweep as an MLflow run, its trainings listed under it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lesion_dynamics.records.store import Store
from lesion_dynamics.records.training_run import PARENT_TAG

_KEY_TAG = "sweep_key"
_OVERRIDES_TAG = "sweep_overrides"
_MOST_TRAININGS = 1000


def start_or_find_sweep(store: Store, *, key: str, name: str) -> str:
    """The run of the sweep ``key``: a sweep that is started again goes on in the same run."""
    found = store.client.search_runs([store.experiment_id], f"tags.{_KEY_TAG} = '{key}'")
    if found:
        run_id = str(found[0].info.run_id)
        store.client.update_run(run_id, status="RUNNING")
        return run_id
    run = store.client.create_run(store.experiment_id, run_name=name, tags={_KEY_TAG: key})
    return str(run.info.run_id)


def record_training(store: Store, run_id: str, *, parent: str, overrides: Sequence[str]) -> None:
    """List a finished training under its sweep, with what distinguishes it."""
    store.client.set_tag(run_id, PARENT_TAG, parent)
    store.client.set_tag(run_id, _OVERRIDES_TAG, json.dumps(list(overrides)))


def trainings_of(store: Store, parent: str) -> list[tuple[list[str], str, Mapping[str, float]]]:
    """Overrides, run id and last metrics of every recorded training of a sweep, oldest first."""
    runs = store.client.search_runs(
        [store.experiment_id],
        f"tags.`{PARENT_TAG}` = '{parent}'",
        max_results=_MOST_TRAININGS,
        order_by=["attributes.start_time ASC"],
    )
    return [
        (json.loads(run.data.tags[_OVERRIDES_TAG]), str(run.info.run_id), run.data.metrics)
        for run in runs
        if _OVERRIDES_TAG in run.data.tags
    ]


def finish_sweep(
    store: Store, parent: str, *, comparison: pd.DataFrame, files: Sequence[Path]
) -> None:
    """Log the comparison's means as metrics and its files as artifacts, and end the run."""
    for row in comparison.to_dict("records"):
        _log_mean(store, parent, row)
    for path in files:
        store.client.log_artifact(parent, str(path))
    store.client.set_terminated(parent, "FINISHED")


def _log_mean(store: Store, parent: str, row: Mapping[Any, Any]) -> None:
    if pd.notna(row["mean"]):
        # MLflow takes few signs in a name.
        setting = "".join(c if c.isalnum() or c in "._-/ " else "_" for c in str(row["setting"]))
        store.client.log_metric(parent, f"{row['metric']} {setting}"[:250], float(row["mean"]))
