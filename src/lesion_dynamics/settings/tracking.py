"""Where runs and model versions are recorded."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field

from lesion_dynamics.settings.strict import Strict

_CREDENTIALS = re.compile(r"//[^/\s]*@")


def without_credentials(text: str) -> str:
    """A line for a log: the addresses in it without user name and password."""
    return _CREDENTIALS.sub("//", text)


class TrackingSettings(Strict):
    """The MLflow store.

    uri : address of an MLflow server, or None for a store of one's own in `folder`.
    folder : holds ``mlflow.db`` (SQLite) and ``artifacts/`` of the store without a server.
        ``spool/`` in it keeps what the store has not taken yet.
    experiment : name under which runs are listed.
    wait_at_end_seconds : how long a finished training waits for the store to take everything; the
        time for which the store has been away already counts.
    """

    uri: str | None = None
    folder: Path
    experiment: str = Field(min_length=1)
    wait_at_end_seconds: float = Field(default=60.0, ge=0)

    @property
    def database(self) -> Path:
        """The file that a store of one's own is in."""
        return self.folder.resolve() / "mlflow.db"
