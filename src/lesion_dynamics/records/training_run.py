"""A short MLflow run, written straight into a store that has just answered.

Trainings, which last longer than a connection, go through `records.spooled_run`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException

from lesion_dynamics.records.store import Store

_LOG = logging.getLogger(__name__)
PARENT_TAG = "mlflow.parentRunId"
"""The tag by which MLflow shows one run under another."""
_FINISHED, _FAILED = "FINISHED", "FAILED"


class TrainingRun:
    """Files and tags of one run; a store that stops answering costs a warning."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self.run_id = run_id

    @classmethod
    def start(cls, store: Store, *, name: str, tags: Mapping[str, str]) -> TrainingRun:
        """A new run."""
        run = store.client.create_run(store.experiment_id, run_name=name, tags=dict(tags))
        return cls(store, run.info.run_id)

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
