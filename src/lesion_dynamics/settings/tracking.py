"""Where runs and model versions are recorded."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from lesion_dynamics.settings.strict import Strict


class TrackingSettings(Strict):
    """The MLflow store.

    uri : address of an MLflow server, or None for a store of one's own in `folder`.
    folder : holds ``mlflow.db`` (SQLite) and ``artifacts/`` of the store without a server.
    experiment : name under which runs are listed.
    """

    uri: str | None = None
    folder: Path
    experiment: str = Field(min_length=1)
