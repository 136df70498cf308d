"""One training as an MLflow run: started once, gone on with after an interruption."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.utils.time import get_current_time_millis

from lesion_dynamics.records.store import Store

_LOG = logging.getLogger(__name__)
_LONGEST_VALUE = 500
_BATCH = 100
"""Most parameters that MLflow takes at once."""
PARENT_TAG = "mlflow.parentRunId"
"""The tag by which MLflow shows one run under another."""
_FINISHED, _FAILED, _RUNNING = "FINISHED", "FAILED", "RUNNING"


class TrainingRun:
    """Metrics and files of one training.

    An unreachable store costs a warning, never the training.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self.run_id = run_id

    @classmethod
    def start(cls, store: Store, *, name: str, tags: Mapping[str, str]) -> TrainingRun:
        """A new run."""
        run = store.client.create_run(store.experiment_id, run_name=name, tags=dict(tags))
        return cls(store, run.info.run_id)

    @classmethod
    def resume(cls, store: Store, run_id: str) -> TrainingRun | None:
        """The run that an interrupted training had started, or None if the store lacks it."""
        try:
            store.client.get_run(run_id)
            store.client.update_run(run_id, status=_RUNNING)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return cls(store, run_id)

    def log_settings(self, flat: Mapping[str, Any]) -> None:
        """Settings as searchable parameters (cut short; an artifact has them whole)."""
        cut = [Param(key, str(value)[:_LONGEST_VALUE]) for key, value in flat.items()]
        for start in range(0, len(cut), _BATCH):
            self._attempt(
                self._store.client.log_batch, self.run_id, [], cut[start : start + _BATCH]
            )

    def log_metrics(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Finite metrics of one step. A non-finite one would be stored as a huge number."""
        now = get_current_time_millis()
        finite = [
            Metric(name, value, now, step)
            for name, value in metrics.items()
            if math.isfinite(value)
        ]
        self._attempt(self._store.client.log_batch, self.run_id, finite)

    def log_json(self, content: Any, name: str) -> None:
        """A JSON file among the run's artifacts."""
        self._attempt(self._store.client.log_dict, self.run_id, content, name)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """A file among the run's artifacts."""
        self._attempt(self._store.client.log_artifact, self.run_id, str(path), folder)

    def tag(self, name: str, value: str) -> None:
        """A tag of the run."""
        self._attempt(self._store.client.set_tag, self.run_id, name, value)

    def finish(self) -> None:
        """The training ended well."""
        self._attempt(self._store.client.set_terminated, self.run_id, _FINISHED)

    def fail(self) -> None:
        """The training ended with an error."""
        self._attempt(self._store.client.set_terminated, self.run_id, _FAILED)

    def _attempt(self, call: Any, *arguments: Any) -> None:
        try:
            call(*arguments)
        except (MlflowException, OSError) as error:
            _LOG.warning("tracking: not recorded (%s)", str(error).splitlines()[0])
