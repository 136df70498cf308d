"""The MLflow store: where it lies, and a client on it.

MLflow's own default is a database in whatever folder a command was started in; here every
address is absolute and explicit.
"""

from __future__ import annotations

import fcntl
import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lesion_dynamics.atomic_files import (
    disk_full,
    partial_prefix,
    remove_abandoned,
    require_writable_folder,
    translated_disk_errors,
)
from lesion_dynamics.errors import OutputError
from lesion_dynamics.settings.tracking import TrackingSettings, without_credentials

_LOCK_FILE = "initialising.lock"
REGISTERING_LOCK_FILE = "registering.lock"
_LONGEST_LINE = 120
_SQLITE_FULL, _SQLITE_BROKEN = "database or disk is full", "disk I/O error"
_MLFLOW_DEFAULTS = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow's own are 120 s and 7 tries; what cannot be sent waits in the spool instead.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    # Nothing leaves the hospital.
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@dataclass(frozen=True, slots=True)
class Store:
    """A client, the address it speaks to, and the experiment's id."""

    client: MlflowClient
    uri: str
    experiment_id: str


def open_store(settings: TrackingSettings) -> Store:
    """`connect`, and deliver what earlier runs could not.

    Raises
    ------
    OutputError : the store's folder cannot be written, or the server does not answer.
    """
    # Not at the top: deliveries open the store themselves.
    from lesion_dynamics.records.spool.pending import deliver_pending

    store = connect(settings)
    deliver_pending(settings, store)
    return store


def connect(settings: TrackingSettings) -> Store:
    """Open the store, and make its tables and the experiment if they are not there.

    Raises
    ------
    OutputError : the store's folder cannot be written, or the server does not answer.
    """
    for name, value in _MLFLOW_DEFAULTS.items():
        os.environ.setdefault(name, value)
    # MLflow reports its migrations line by line; they are of no use to anybody here.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Whether a try failed is said once, in our words; MLflow shows a traceback each time.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    if settings.uri is not None:
        uri = _without_credentials(settings.uri)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        try:
            experiment_id = _experiment(client, settings.experiment, None)
        except (MlflowException, OSError) as error:
            raise OutputError(
                f"the tracking server does not answer ({first_line(error)})",
                where="tracking.uri",
                remedy="Start it or correct the address, or use tracking=local.",
            ) from error
        return Store(client, uri, experiment_id)
    folder = settings.folder.resolve()
    require_writable_folder(folder)
    database = settings.database
    uri = f"sqlite:///{database}"
    # Processes that migrate a fresh database at the same time break each other.
    with translated_disk_errors(folder), (folder / _LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        artifacts = (folder / "artifacts").as_uri()
        try:
            if not database.exists():
                _make_database(database, settings.experiment, artifacts)
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            experiment_id = _experiment(client, settings.experiment, artifacts)
        except Exception as error:
            if _SQLITE_FULL in str(error):
                raise disk_full(database) from error
            if _SQLITE_BROKEN in str(error):
                raise OutputError(
                    f"the database cannot be written ({_SQLITE_BROKEN})",
                    where=database,
                    remedy="See whether its disk is full, limited or broken, and start again.",
                ) from error
            raise
    return Store(client, uri, experiment_id)


def _make_database(database: Path, experiment: str, artifacts: str) -> None:
    """Make the tables beside the database's place and move them there.

    MLflow makes them in many steps, and cannot go on from the middle of them.
    """
    remove_abandoned(database.parent)
    # MLflow keeps a connection by its address: every try has one of its own.
    temporary = database.with_name(f"{partial_prefix()}{uuid.uuid4().hex[:8]}-{database.name}")
    uri = f"sqlite:///{temporary}"
    try:
        _experiment(MlflowClient(tracking_uri=uri, registry_uri=uri), experiment, artifacts)
        temporary.replace(database)
    finally:
        for left in database.parent.glob(f"{temporary.name}*"):  # SQLite's own files as well
            left.unlink()


@contextmanager
def sole_registration(settings: TrackingSettings) -> Iterator[None]:
    """Wait until no other process that uses this folder is in such a block."""
    folder = settings.folder.resolve()
    require_writable_folder(folder)
    with (folder / REGISTERING_LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _experiment(client: MlflowClient, name: str, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name, artifact_location=artifacts))
    except MlflowException:
        again = client.get_experiment_by_name(name)  # another process was quicker
        if again is None:
            raise
        return str(again.experiment_id)


def first_line(error: BaseException) -> str:
    """What an error says, for the log: short, and without what a password may stand in."""
    lines = str(error).splitlines() or [type(error).__name__]
    lines = [words for words in (_SQLITE_FULL, _SQLITE_BROKEN) if words in str(error)] or lines
    return without_credentials(lines[0])[:_LONGEST_LINE]


def _without_credentials(address: str) -> str:
    """The address of a server, its user name and password moved to where MLflow looks for them.

    MLflow repeats its address in errors and in addresses of artifacts.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or parts.password is None:
        return address
    os.environ.setdefault("MLFLOW_TRACKING_USERNAME", unquote(parts.username or ""))
    os.environ.setdefault("MLFLOW_TRACKING_PASSWORD", unquote(parts.password))
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
