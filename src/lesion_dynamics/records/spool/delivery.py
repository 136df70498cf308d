"""From a run's journal into the MLflow store: in order, each entry once.

Between sending and the note that it was sent anything can be killed, so the first thing sent
after a start or a failure is compared with what the store has: the run is looked up by its
``spool_id`` tag before it is made, metrics by name, step and value before they are logged, a
model version by its run and weights (`registry.register`). Parameters, tags, files and states are
the same when they are sent twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, Metric, Param, Run
from mlflow.exceptions import MlflowException

from lesion_dynamics.atomic_files import write_json
from lesion_dynamics.errors import ModelVersionError, OutputError
from lesion_dynamics.model_version import NUMBER_FILE, load_manifest
from lesion_dynamics.records.spool.journal import END, Journal, lock_for_delivery
from lesion_dynamics.records.store import Store, first_line
from lesion_dynamics.records.training_run import PARENT_TAG

_LOG = logging.getLogger(__name__)
SPOOL_TAG = "spool_id"
SPOOLED = "spool-"
"""Begins the name of a run that the store may not have yet; its ``spool_id`` follows."""
_REFUSED = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS"}
"""Answers that stay the same however often one asks."""
_GONE = "RESOURCE_DOES_NOT_EXIST"
_MOST_METRICS = 500
"""In one request; MLflow takes 1,000."""


class Delivery:
    """Sends the journal of one run, entry by entry.

    connect : opens the store; called again after every failure.
    """

    def __init__(self, journal: Journal, connect: Callable[[], Store]) -> None:
        self._journal = journal
        self._connect = connect
        self._store: Store | None = None
        self._done = journal.delivered()
        self._unsure = True
        # A journal that was begun anew for an old run does not know what the run holds.
        self._adopted = bool(journal.header().get("adopted"))

    @property
    def offset(self) -> int:
        """Up to which byte the store has taken the journal."""
        return int(self._done["offset"])

    @property
    def run_id(self) -> str | None:
        """The run's id in the store, if it has one yet."""
        found = self._done["run_id"]
        return None if found is None else str(found)

    @property
    def number(self) -> int | None:
        """The number of the run's model version, once it is registered."""
        found = self._done.get("number")
        return None if found is None else int(found)

    def step(self) -> bool:
        """Send what comes next; whether there was anything to send.

        Raises
        ------
        Whatever the store raises when it does not answer. Nothing is lost: call again later.
        """
        waiting = self._journal.entries(self.offset)
        if not waiting:
            return False
        batch = _metrics_that_follow(waiting) or waiting[:1]
        try:
            self._send([entry for entry, _ in batch])
        except (MlflowException, OutputError) as error:
            self._unsure = True
            if not _is_refusal(error):
                self._store = None
                raise
            _LOG.warning("tracking: refused for good (%s)", first_line(error))
        except BaseException:
            self._unsure, self._store = True, None
            raise
        self._done = {**self._done, "offset": batch[-1][1]}
        self._journal.acknowledge(self._done)
        self._unsure = False
        for entry, _ in batch:
            if "file" in entry:
                self._journal.drop(entry["file"])
        return True

    def _send(self, entries: list[dict[str, Any]]) -> None:
        if self._store is None:
            self._store = self._connect()
        store, run_id, first = self._store, self._run(self._store), entries[0]
        kind = first["kind"]
        if kind == "metrics":
            self._send_metrics(store, run_id, entries)
        elif kind == "artifact":
            self._send_file(store, run_id, first)
        elif kind == "model version":
            self._register(store, run_id, first)
        elif kind in _LINKS:
            self._link(store, run_id, first)
        else:
            _SIMPLE[kind](store, run_id, first)

    def _send_metrics(self, store: Store, run_id: str, entries: list[dict[str, Any]]) -> None:
        metrics = [_metric(one, entry) for entry in entries for one in entry["values"]]
        if self._unsure or self._adopted:
            metrics = _not_in(store, run_id, metrics)
        if metrics:
            store.client.log_batch(run_id, metrics)

    def _run(self, store: Store) -> str:
        """The run's id; the run is made if the store has none with this journal's tag."""
        if self.run_id is not None:
            return self.run_id
        header = self._journal.header()
        spool_id = self._journal.spool_id
        found = _runs_tagged(store, {SPOOL_TAG: spool_id}) or _runs_tagged(
            store, header.get("known_by", {})
        )
        if found:
            run = found[0]
        else:
            run = store.client.create_run(
                store.experiment_id,
                start_time=header["created_ms"],
                run_name=header["name"],
                tags={**header["tags"], SPOOL_TAG: spool_id},
            )
        self._done = {**self._done, "run_id": str(run.info.run_id)}
        self._journal.acknowledge(self._done)
        return str(run.info.run_id)

    def _link(self, store: Store, run_id: str, entry: Mapping[str, Any]) -> None:
        try:
            _LINKS[entry["kind"]](store, run_id, self._run_named(store, entry["run"]), entry)
        except MlflowException as error:
            if error.error_code != _GONE:
                raise
            _LOG.warning("tracking: the store has no run %s; it is not linked", entry["run"])

    def _run_named(self, store: Store, name: str) -> str | None:
        """The id of another run; one that waits in this spool is made. None: it was deleted.

        Raises
        ------
        MlflowException : another process is making it at this moment.
        """
        if not name.startswith(SPOOLED):
            return name
        spool_id = name.removeprefix(SPOOLED)
        found = _runs_tagged(store, {SPOOL_TAG: spool_id})
        if found:
            return str(found[0].info.run_id)
        journal = Journal(self._journal.folder.parent / spool_id)
        target = self._journal.header()["target"]
        if not journal.exists() or journal.header()["target"] != target:
            _LOG.warning("tracking: the run %s is gone and is not linked", spool_id)
            return None
        lock = lock_for_delivery(journal)
        if lock is None:
            raise MlflowException(f"the run {spool_id} is just being made")
        with lock:
            return Delivery(journal, lambda: store)._run(store)

    def _send_file(self, store: Store, run_id: str, entry: Mapping[str, Any]) -> None:
        path = self._journal.kept(entry["file"])
        if not path.is_file():
            _LOG.warning("tracking: %s is gone from the spool and is not recorded", path.name)
            return
        store.client.log_artifact(run_id, str(path), entry["folder"])

    def _register(self, store: Store, run_id: str, entry: Mapping[str, Any]) -> None:
        # Not at the top: the registry's store delivers what waits.
        from lesion_dynamics.records.registry import register

        try:
            version = register(store, run_id=run_id, folder=self._journal.kept(entry["file"]))
        except ModelVersionError as error:
            _LOG.warning("tracking: the model version in the spool is broken (%s)", error)
            return
        self._done = {**self._done, "number": version.number}
        said = {"name": version.name, "number": version.number, "run_id": run_id}
        for folder in map(Path, entry["number_to"]):
            if _holds(folder, version.manifest.weights_sha256):
                write_json(folder / NUMBER_FILE, said)


def _runs_tagged(store: Store, tags: Mapping[str, str]) -> list[Run]:
    if not tags:
        return []
    wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
    return list(store.client.search_runs([store.experiment_id], wanted, max_results=1))


def _metrics_that_follow(
    waiting: list[tuple[dict[str, Any], int]],
) -> list[tuple[dict[str, Any], int]]:
    batch: list[tuple[dict[str, Any], int]] = []
    count = 0
    for entry, end in waiting:
        if entry["kind"] != "metrics":
            break
        count += len(entry["values"])
        if batch and count > _MOST_METRICS:
            break
        batch.append((entry, end))
    return batch


def _metric(value: Any, entry: Mapping[str, Any]) -> Metric:
    name, number = value
    return Metric(name, number, entry["time_ms"], entry["step"])


def _not_in(store: Store, run_id: str, metrics: list[Metric]) -> list[Metric]:
    """Those that the run does not have, by name, step and value."""
    known = {
        name: {(one.step, one.value) for one in store.client.get_metric_history(run_id, name)}
        for name in {metric.key for metric in metrics}
    }
    return [one for one in metrics if (one.step, one.value) not in known[one.key]]


def _send_parameters(store: Store, run_id: str, entry: Mapping[str, Any]) -> None:
    store.client.log_batch(run_id, [], [Param(name, value) for name, value in entry["values"]])


def _send_tag(store: Store, run_id: str, entry: Mapping[str, Any]) -> None:
    store.client.set_tag(run_id, entry["name"], entry["value"])


def _send_dataset(store: Store, run_id: str, entry: Mapping[str, Any]) -> None:
    store.client.log_inputs(run_id, [DatasetInput(Dataset(**entry["dataset"]), [])])


def _send_state(store: Store, run_id: str, entry: Mapping[str, Any]) -> None:
    if entry["status"] == "RUNNING":
        store.client.update_run(run_id, status="RUNNING")
    else:
        store.client.set_terminated(run_id, entry["status"], end_time=entry["time_ms"])


_SIMPLE: Mapping[str, Callable[[Store, str, Mapping[str, Any]], None]] = {
    "parameters": _send_parameters,
    "tag": _send_tag,
    "dataset": _send_dataset,
    END: _send_state,
}
"""Entries that are the same however often they are sent."""


def _put_under(store: Store, run_id: str, other: str | None, _entry: Mapping[str, Any]) -> None:
    if other is not None:
        store.client.set_tag(run_id, PARENT_TAG, other)


def _list(store: Store, run_id: str, other: str | None, entry: Mapping[str, Any]) -> None:
    if other is not None:
        for name, value in {PARENT_TAG: run_id, **entry["tags"]}.items():
            store.client.set_tag(other, name, value)


_LINKS: Mapping[str, Callable[[Store, str, str | None, Mapping[str, Any]], None]] = {
    "parent": _put_under,
    "child": _list,
}
"""Entries that name another run; they, too, are the same however often they are sent."""


def _holds(folder: Path, weights_sha256: str) -> bool:
    try:
        return load_manifest(folder).weights_sha256 == weights_sha256
    except ModelVersionError:
        return False


def _is_refusal(error: Exception) -> bool:
    cause = error.__cause__ if isinstance(error, OutputError) else error
    return isinstance(cause, MlflowException) and cause.error_code in _REFUSED
