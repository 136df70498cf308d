"""The append-only log of promotions: one JSON line each, chained by hashes.

Each line names the SHA-256 of the line before, so a line that was changed or taken out is seen.
Without a server the log is ``promotions/<name>.jsonl`` beside the store, and a lock on it lets one
promotion at a time through.

On a server the lines are tags of the registered model, where every machine of the group finds
them, and the file is a copy. A server has no lock to give; what it gives once and never again is
the name of an experiment. So entry n is made by making the experiment "promotion n of <name>",
which holds the line itself: two machines cannot both make it, and one that is killed right after
it has left nothing half done, for whoever reads next finds the line there.
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
_CARRIED_OUT_TAG = "promotion_carried_out."
_PART = "line."
_LONGEST_PART = 4000
"""Databases of MLflow take 5,000 characters in a tag of an experiment."""
Entry = Mapping[str, Any]


class PromotionLog:
    """The log of one registered name."""

    def __init__(self, store: Store, name: str, tracking: TrackingSettings) -> None:
        self._store = store
        self._name = name
        self._on_server = tracking.uri is not None
        self._open: int | None = None
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

    def append(self, entry: Entry, *, after: int) -> Entry:
        """Add an entry; call it within `locked`.

        after : the number of entries on which it was decided.

        Raises
        ------
        ModelVersionError : there are more meanwhile, or another machine was quicker just now.
        """
        lines = self._lines()
        if len(lines) != after:
            raise self._too_late()
        number = after + 1
        before = hashlib.sha256(lines[-1].encode()).hexdigest() if lines else BEGINNING
        whole = {**entry, "entry": number, "previous_sha256": before}
        line = json.dumps(whole, sort_keys=True, allow_nan=False)
        if self._on_server:
            self._claim(number, line)
            self._take_in(number, line)
            write_text(self.path, "".join(f"{one}\n" for one in (*lines, line)))
        else:
            with translated_disk_errors(self.path), self.path.open("ab") as file:
                file.truncate(sum(len(one.encode()) + 1 for one in lines))
                file.write(f"{line}\n".encode())
                file.flush()
                os.fsync(file.fileno())
        self._open = number
        return whole

    def is_carried_out(self, entry: Entry) -> bool:
        """Whether somebody has said so. Without a server the lock speaks for all but one's own."""
        if not self._on_server:
            return bool(entry["entry"] != self._open)
        return self._carried_out(entry) in self._tags()

    def carried_out(self, entry: Entry) -> None:
        """Say that the alias stands for what this entry decided."""
        self._open = None
        if self._on_server:
            self._set_tag(self._carried_out(entry), "true")

    @staticmethod
    def _carried_out(entry: Entry) -> str:
        return f"{_CARRIED_OUT_TAG}{entry['entry']:06d}"

    def _lines(self) -> list[str]:
        """Lines that were written whole: what an interruption cut short was never promised."""
        if self._on_server:
            tags = self._tags()
            lines = [tags[key] for key in sorted(tags) if key.startswith(_TAG)]
            claimed = self._claimed(len(lines) + 1)
            return lines if claimed is None else [*lines, claimed]
        try:
            content = self.path.read_bytes().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return content.split("\n")[:-1]

    def _tags(self) -> Mapping[str, str]:
        tags: Mapping[str, str] = self._store.client.get_registered_model(self._name).tags
        return tags

    def _set_tag(self, name: str, value: str) -> None:
        """Set a tag that nobody sets to anything else; two at the same moment break each other."""
        try:
            self._store.client.set_registered_model_tag(self._name, name, value)
        except MlflowException:
            if self._tags().get(name) != value:
                raise

    def _claim(self, number: int, line: str) -> None:
        parts = [line[at : at + _LONGEST_PART] for at in range(0, len(line), _LONGEST_PART)]
        tags = {f"{_PART}{number:03d}": part for number, part in enumerate(parts)}
        try:
            self._store.client.create_experiment(self._claim_name(number), tags=tags)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            raise self._too_late() from None

    def _claimed(self, number: int) -> str | None:
        """The line of an entry that was made, and is not among the tags yet; it is brought there.

        Its process is about to do the same, or was killed before it could.
        """
        found = self._store.client.get_experiment_by_name(self._claim_name(number))
        if found is None:
            return None
        line = "".join(found.tags[key] for key in sorted(found.tags) if key.startswith(_PART))
        if line:
            self._take_in(number, line)
        return line or None

    def _take_in(self, number: int, line: str) -> None:
        client = self._store.client
        self._set_tag(f"{_TAG}{number:06d}", line)
        claim = client.get_experiment_by_name(self._claim_name(number))
        if claim is not None and claim.lifecycle_stage == "active":
            try:
                # A deleted experiment keeps its name: hidden from lists, and never given again.
                client.delete_experiment(claim.experiment_id)
            except MlflowException as error:  # somebody else has just done it
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise

    def _claim_name(self, number: int) -> str:
        return f"promotion {number} of {self._name}"

    def _too_late(self) -> ModelVersionError:
        return ModelVersionError(
            "another promotion was recorded at the same time; this one is not done",
            where=self._name,
            remedy="Look at the champion and promote again if you still want to.",
        )
