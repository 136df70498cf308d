"""One training as an MLflow run that no outage of the store can hold up.

Everything goes to the run's journal on disk first; a background thread delivers it
(`records.spool`). So a training begins, goes on and ends without a store that answers, and the
run is complete when the store has answered again.
"""

from __future__ import annotations

import json
import logging
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.utils.time import get_current_time_millis

from lesion_dynamics.atomic_files import hash_of_content, require_writable_folder
from lesion_dynamics.errors import OutputError
from lesion_dynamics.records.spool.backlog import Backlog
from lesion_dynamics.records.spool.delivery import SPOOLED
from lesion_dynamics.records.spool.journal import END, Journal
from lesion_dynamics.records.spool.pending import spool_folder, target_of
from lesion_dynamics.records.spool.sender import Sender
from lesion_dynamics.records.store import connect
from lesion_dynamics.settings.tracking import TrackingSettings

_LOG = logging.getLogger(__name__)
_LONGEST_VALUE = 500
_BATCH = 100
"""Most parameters that MLflow takes at once."""


class SpooledRun:
    """Metrics, files and the model version of one training; `close` it in any case."""

    def __init__(self, journal: Journal, settings: TrackingSettings) -> None:
        self._journal = journal
        self._patience = settings.wait_at_end_seconds
        self._logged = {
            (name, entry["step"], value)
            for entry, _ in journal.entries()
            if entry["kind"] == "metrics"
            for name, value in entry["values"]
        }
        self._sender = Sender(journal, partial(connect, settings))
        self._backlog = Backlog()

    @classmethod
    def start(
        cls,
        settings: TrackingSettings,
        *,
        name: str,
        tags: Mapping[str, str],
        spool_id: str | None = None,
        known_by: Mapping[str, str] | None = None,
    ) -> SpooledRun:
        """A new run.

        spool_id : of `new_spool_id`, where it is to be written down before the run begins.
        known_by : tags; a run that the store has with them is gone on with.

        Raises
        ------
        OutputError : the tracking folder cannot be written.
        """
        require_writable_folder(settings.folder.resolve())
        if settings.uri is None:
            connect(settings)  # a store of one's own that cannot be opened is the user's to mend
        journal = Journal(spool_folder(settings) / (spool_id or new_spool_id()))
        header = _header(settings, name, tags)
        if known_by is not None:
            header |= {"known_by": dict(known_by), "adopted": True}
        journal.remove()  # of a run that was deleted in the store
        journal.open(header)
        journal.append(END, {"status": "RUNNING", "time_ms": get_current_time_millis()})
        return cls(journal, settings)

    @classmethod
    def resume(
        cls, settings: TrackingSettings, *, spool_id: str, run_id: str | None, name: str
    ) -> SpooledRun | None:
        """The run that an interrupted training had started.

        None if neither the spool nor the store has it any more: somebody deleted it.
        """
        journal = Journal(spool_folder(settings) / spool_id)
        there = journal.exists() and journal.header()["target"] == target_of(settings)
        if not there and run_id is None:
            return None
        known = journal.delivered()["run_id"] or run_id
        if known is not None and _is_deleted(settings, known):
            return None
        if there:
            journal.open(journal.header())
        else:
            journal.open({**_header(settings, name, {}), "adopted": True})
            journal.acknowledge({"offset": 0, "run_id": run_id, "number": None})
        journal.append(END, {"status": "RUNNING", "time_ms": get_current_time_millis()})
        return cls(journal, settings)

    @classmethod
    def start_or_go_on(
        cls, settings: TrackingSettings, *, tag: str, key: str, name: str
    ) -> SpooledRun:
        """The run whose ``tag`` is ``key``: everybody who asks for it gets the same one.

        Whether the store has such a run is seen when it answers; nobody waits for that.

        Raises
        ------
        OutputError : the tracking folder cannot be written.
        """
        spool_id = hash_of_content([tag, key, target_of(settings)])[:32]
        resumed = cls.resume(settings, spool_id=spool_id, run_id=None, name=name)
        if resumed is not None:
            return resumed
        tags = {tag: key}
        return cls.start(settings, name=name, tags=tags, spool_id=spool_id, known_by=tags)

    @property
    def reference(self) -> str:
        """What names this run to others, before and after the store has given it an id."""
        return SPOOLED + self.spool_id

    @property
    def spool_id(self) -> str:
        """The run's name on this machine; a tag of it in the store."""
        return self._journal.spool_id

    @property
    def run_id(self) -> str | None:
        """The store's id of the run; None as long as the store has not answered."""
        return self._sender.delivery.run_id

    @property
    def holds_back(self) -> bool:
        """Whether something is in memory only, for want of room on the disk."""
        return len(self._backlog) > 0

    def log_settings(self, flat: Mapping[str, Any]) -> None:
        """Settings as searchable parameters (cut short; an artifact has them whole)."""
        cut = [[key, str(value)[:_LONGEST_VALUE]] for key, value in flat.items()]
        for start in range(0, len(cut), _BATCH):
            self._append("parameters", {"values": cut[start : start + _BATCH]})

    def log_metrics(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Finite metrics of one step. A non-finite one would be stored as a huge number.

        A training that goes on repeats the epoch it was killed in: what is there is left out.
        """
        new = [
            [name, float(value)]
            for name, value in metrics.items()
            if math.isfinite(value) and (name, step, value) not in self._logged
        ]
        if new:
            self._logged |= {(name, step, value) for name, value in new}
            now = get_current_time_millis()
            self._append("metrics", {"values": new, "step": step, "time_ms": now})

    def log_json(self, content: Any, name: str) -> None:
        """A JSON file among the run's artifacts."""
        text = json.dumps(content, indent=2) + "\n"
        self._write(
            lambda: self._append_kept(
                "artifact", self._journal.keep_text(name, text), {"folder": None}
            )
        )

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """A file among the run's artifacts: as it is now or, on a full disk, when there is room."""
        self._write(
            lambda: self._append_kept("artifact", self._journal.keep(path), {"folder": folder})
        )

    def log_dataset(self, dataset: Mapping[str, str]) -> None:
        """What the run learned from: name, digest, source_type, source of an MLflow dataset."""
        self._append("dataset", {"dataset": dict(dataset)})

    def tag(self, name: str, value: str) -> None:
        """A tag of the run."""
        self._append("tag", {"name": name, "value": value})

    def put_under(self, parent: str) -> None:
        """List this run under another: the store's id of it, or its `reference`."""
        self._append("parent", {"run": parent})

    def list_run(self, child: str, tags: Mapping[str, str]) -> None:
        """List another run, named as in `put_under`, under this one, with tags of its own."""
        self._append("child", {"run": child, "tags": dict(tags)})

    def register(self, folder: Path, *, number_to: Sequence[Path]) -> int | None:
        """Register the model version in ``folder`` as soon as the store answers.

        number_to : folders that receive the number; those whose weights are others are left alone.

        Returns
        -------
        The number, or None if the store has not given one in time.

        Raises
        ------
        DiskFullError : there is no room to keep it for the store.
        """
        self._backlog.write()
        places = [str(one.resolve()) for one in number_to]
        kept = self._journal.keep(folder)
        end = self._append_kept("model version", kept, {"number_to": places})
        self._sender.wake()
        return self._sender.delivery.number if self._wait(end) else None

    def finish(self) -> None:
        """The training ended well."""
        self._end("FINISHED")

    def fail(self) -> None:
        """The training ended with an error."""
        self._end("FAILED")

    def interrupt(self) -> None:
        """The training was interrupted; it may go on later."""
        self._end("KILLED")

    def close(self) -> None:
        """Wait a bounded time for the store to take everything, then send nothing more."""
        self._backlog.write()
        if self.holds_back:
            _LOG.warning(
                "tracking: the disk stayed full; %d entries are not recorded (metrics are, when "
                "the training goes on)",
                len(self._backlog),
            )
        delivered = self._wait(self._journal.size())
        self._sender.close()
        if not delivered:
            _LOG.warning(
                "tracking: not everything is delivered; it waits in %s. The next command with "
                "this tracking sends it, or: lesion-dynamics deliver",
                self._journal.folder,
            )
        elif self._journal.state() == "FINISHED":
            self._journal.remove()

    def _wait(self, offset: int) -> bool:
        """Wait for ``offset``; the patience of one training is spent only once."""
        start = get_current_time_millis()
        delivered = self._sender.wait(offset, seconds=self._patience)
        self._patience = max(0.0, self._patience - (get_current_time_millis() - start) / 1000)
        return delivered

    def _end(self, status: str) -> None:
        self._append(END, {"status": status, "time_ms": get_current_time_millis()})

    def _append(self, kind: str, content: Mapping[str, Any]) -> None:
        self._write(lambda: self._journal.append(kind, content))

    def _append_kept(self, kind: str, kept: str, content: Mapping[str, Any]) -> int:
        try:
            return self._journal.append(kind, {"file": kept, **content})
        except BaseException:
            self._journal.drop(kept)
            raise

    def _write(self, entry: Callable[[], object]) -> None:
        self._backlog.add(entry)
        self._sender.wake()


def new_spool_id() -> str:
    """A name for a run that no other has."""
    return uuid.uuid4().hex


def _header(settings: TrackingSettings, name: str, tags: Mapping[str, str]) -> dict[str, Any]:
    return {
        "target": target_of(settings),
        "name": name,
        "tags": dict(tags),
        "created_ms": get_current_time_millis(),
    }


def _is_deleted(settings: TrackingSettings, run_id: str) -> bool:
    """Whether the store answers that it has no such run; one that does not answer has it."""
    try:
        run = connect(settings).client.get_run(run_id)
    except MlflowException as error:
        return bool(error.error_code == "RESOURCE_DOES_NOT_EXIST")
    except (OutputError, OSError):
        return False
    return bool(run.info.lifecycle_stage == "deleted")
