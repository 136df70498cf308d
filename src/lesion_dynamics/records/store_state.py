"""Whether the MLflow store answers and is in order, without making or changing anything."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lesion_dynamics.settings.tracking import TrackingSettings

_SECONDS = "5"


@dataclass(frozen=True, slots=True)
class StoreState:
    """sound : usable now. made : there is a store at all. what : one sentence."""

    sound: bool
    made: bool
    what: str


def store_state(tracking: TrackingSettings) -> StoreState:
    """Look at the store of ``tracking``; at a server for a few seconds at most."""
    return _server(tracking.uri) if tracking.uri is not None else _own(tracking)


def _server(uri: str) -> StoreState:
    before = {name: os.environ.get(name) for name in _LIMITS}
    os.environ.update(_LIMITS)
    try:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        names = client.search_registered_models(max_results=1)
    except (MlflowException, OSError) as error:
        # The address may carry a password: it is not repeated, and neither is the message.
        return StoreState(False, False, f"the server does not answer ({type(error).__name__})")
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    return StoreState(True, True, f"the server answers; registry {'in use' if names else 'empty'}")


_LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": _SECONDS, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


def _own(tracking: TrackingSettings) -> StoreState:
    database = tracking.database
    if not database.is_file():
        return StoreState(True, False, "not made yet; the first command makes it")
    try:
        connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
        try:
            sound = connection.execute("PRAGMA quick_check").fetchone()[0] == "ok"
            versions = connection.execute("SELECT count(*) FROM model_versions").fetchone()[0]
            runs = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
            roots = connection.execute("SELECT DISTINCT artifact_location FROM experiments")
            places = [str(row[0]) for row in roots if row[0]]
        finally:
            connection.close()
    except sqlite3.Error as error:
        return StoreState(False, True, f"the database cannot be read ({error})")
    if not sound:
        return StoreState(False, True, "the database is damaged (PRAGMA quick_check)")
    own = (database.parent / "artifacts").as_uri()
    if not any(place == own for place in places):
        return StoreState(False, True, "its artifacts lie elsewhere: the folder was moved")
    return StoreState(True, True, f"{runs} runs, {versions} model versions")
