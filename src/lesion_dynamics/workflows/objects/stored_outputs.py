"""The output of a streamed inference: marks of its files, and those of a part here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from lesion_dynamics.workflows.objects.ledger import Entry
from lesion_dynamics.workflows.objects.mirror import Mirror


class StoredOutputs:
    """The output folder and the marks of what is in it, in the store or on this computer."""

    def __init__(self, folder: Path, mirror: Mirror | None) -> None:
        self.folder, self._mirror = folder, mirror
        there = {} if mirror is None else mirror.listing()
        self._marks = {name: one.mark for name, one in there.items()}
        self._below = by_top_folder(self._marks)
        self._tables = {n: mark for n, mark in self._marks.items() if "/" not in n}

    def has(self, entry: Entry) -> bool:
        """Whether every file of a finished participant is there and unchanged."""
        if self._mirror is not None:
            return all(self._marks.get(name) == mark for name, mark in entry.outputs.items())
        return all(_own_mark(self.folder / n) == mark for n, mark in entry.outputs.items())

    def fetch(self, part: Sequence[str]) -> None:
        """What earlier runs left of these participants, and the tables; others leave."""
        if self._mirror is not None:
            own = {n: self._marks[n] for who in part for n in self._below.get(who, ())}
            self._mirror.hold({**self._tables, **own})

    def marks(self, participant_id: str) -> dict[str, str]:
        """Of a participant's files, when they are written (and published)."""
        if self._mirror is not None:
            return self._mirror.marks_below(participant_id)
        found = sorted((self.folder / participant_id).rglob("*"))
        files = [p for p in found if p.is_file() and not p.name.startswith(".partial-")]
        return {p.relative_to(self.folder).as_posix(): str(_own_mark(p)) for p in files}


def _own_mark(path: Path) -> str | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return f"{status.st_size} {status.st_mtime_ns}"


def by_top_folder(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by the first part of their path."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found[name.split("/")[0]].append(name)
    return dict(found)
