"""The append-only log of promotions: one JSON line each, chained by hashes.

Each line names the SHA-256 of the line before, so a line that was changed or taken out is seen.
Without a server the log is ``promotions/<name>.jsonl`` beside the store, and a lock on it lets one
promotion at a time through. On a server the lines are tags of the registered model, where every
machine of the group finds them, and the file is a copy; there the number of an entry is claimed
by the name of an experiment, which a server gives once and never again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from mlflow.exceptions import MlflowException

from lesion_dynamics.atomic_files import require_writable_folder, translated_disk_errors, write_text
from lesion_dynamics.errors import ModelVersionError
from lesion_dynamics.records.store import Store
from lesion_dynamics.settings.tracking import TrackingSettings

BEGINNING: Final = "0" * 64
_TAG = "promotion."
Entry = Mapping[str, Any]


class PromotionLog:
    """The log of one registered name."""

    def __init__(self, store: Store, name: str, tracking: TrackingSettings) -> None:
        self._store = store
        self._name = name
        self._on_server = tracking.uri is not None
        self.path = tracking.folder.resolve() / "promotions" / f"{name}.jsonl"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One promotion of this name at a time on this machine."""
        require_writable_folder(self.path.parent)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def entries(self) -> list[Entry]:
        """All entries in their order, the chain verified.

        Raises
        ------
        ModelVersionError : an entry was changed, or one is missing.
        """
        before, found = BEGINNING, []
        for number, line in enumerate(self._lines(), start=1):
            try:
                entry = json.loads(line)
                sound = entry["entry"] == number and entry["previous_sha256"] == before
            except (ValueError, KeyError, TypeError):
                sound = False
            if not sound:
                raise ModelVersionError(
                    f"entry {number} of the promotions does not follow from the one before it:"
                    " the log was changed",
                    where=self.path,
                    remedy="Bring the log back from a backup; nothing is promoted until then.",
                )
            found.append(entry)
            before = hashlib.sha256(line.encode()).hexdigest()
        return found

    def append(self, entry: Entry) -> Entry:
        """Add an entry; call it within `locked`.

        Raises
        ------
        ModelVersionError : another machine was quicker.
        """
        lines = self._lines()
        number = len(lines) + 1
        before = hashlib.sha256(lines[-1].encode()).hexdigest() if lines else BEGINNING
        whole = {**entry, "entry": number, "previous_sha256": before}
        line = json.dumps(whole, sort_keys=True, allow_nan=False)
        if self._on_server:
            self._claim(number)
            self._store.client.set_registered_model_tag(self._name, f"{_TAG}{number:06d}", line)
            write_text(self.path, "".join(f"{one}\n" for one in (*lines, line)))
            return whole
        with translated_disk_errors(self.path), self.path.open("ab") as file:
            file.truncate(sum(len(one.encode()) + 1 for one in lines))
            file.write(f"{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        return whole

    def _lines(self) -> list[str]:
        """Lines that were written whole: what an interruption cut short was never promised."""
        if self._on_server:
            tags = self._store.client.get_registered_model(self._name).tags
            return [tags[key] for key in sorted(tags) if key.startswith(_TAG)]
        try:
            content = self.path.read_bytes().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return content.split("\n")[:-1]

    def _claim(self, number: int) -> None:
        name = f"promotion {number} of {self._name}"
        try:
            # A deleted experiment keeps its name: hidden from lists, and never given again.
            self._store.client.delete_experiment(self._store.client.create_experiment(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            raise ModelVersionError(
                "another promotion was recorded at the same time; this one is not done",
                where=self._name,
                remedy="Look at the champion and promote again if you still want to.",
            ) from None
