"""What came of participants whose scans lie in an object store: one small file each.

It lies in the store beside the output folder (``<folder>.ledger/``), or, where the output is on
this computer, in the cache folder. A participant whose objects, tables, model version and code are
those of the entry, and whose outputs have the marks that the entry names, is finished: no byte of
an image is moved to find that out, on this computer or on another. In any other case the
participant's scans are fetched and looked up one by one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lesion_dynamics.atomic_files import write_json
from lesion_dynamics.cohort.cohort import Exclusion, Scan
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.workflows.objects.mirror import Mirror, is_remote, url_of
from lesion_dynamics.workflows.objects.staging import place_of


@dataclass(frozen=True)
class Entry:
    """One participant.

    key : of all that the outputs depend on. outputs : the mark of each, by its name.
    scans : by session id: images (names of the sequences), input_hashes, row (of the table).
    exclusions : sessions that lack a sequence. engines : what ran the network.
    quality : the content of the participant's quality file.
    """

    key: str
    outputs: Mapping[str, str]
    scans: Mapping[str, Mapping[str, Any]]
    exclusions: tuple[Mapping[str, Any], ...] = ()
    engines: tuple[str, ...] = ()
    quality: Mapping[str, Any] = field(default_factory=dict)

    def scans_of(self, participant_id: str) -> list[Scan]:
        """The scans by name alone: their images lie elsewhere."""
        return [
            Scan(participant_id, session_id, {name: Path() for name in own["images"]})
            for session_id, own in self.scans.items()
        ]

    def left_out(self) -> list[Exclusion]:
        """The sessions that lack a sequence."""
        return [Exclusion(**one) for one in self.exclusions]


class Ledger:
    """The entries of an output folder.

    Raises
    ------
    UserError : the store does not answer; no cache folder holds the copy.
    """

    def __init__(self, folder: Path, settings: InferSettings, *names: str) -> None:
        self._mirror: Mirror | None = None
        if not is_remote(settings.output):
            own = place_of(folder, settings)
            self._folder = own.with_name(f"{own.name}.ledger")
            return
        place = settings.output.joinpath(*names[:-1], f"{names[-1]}.ledger")
        self._mirror = Mirror(url_of(place), place_of(place, settings))
        self._folder = self._mirror.folder
        self._mirror.fetch()

    def of(self, participant_id: str) -> Entry | None:
        """The entry of a participant, if there is one that can be read."""
        try:
            content = json.loads(self._file(participant_id).read_text(encoding="utf-8"))
            content["exclusions"] = tuple(content["exclusions"])
            content["engines"] = tuple(content["engines"])
            return Entry(**content)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, entries: Mapping[str, Entry], *, without: Iterable[str] = ()) -> None:
        """Write entries, and forget those of participants of whom not all is done.

        Raises
        ------
        OutputError : they cannot be written, or the store does not take them.
        """
        for participant_id in without:
            self._file(participant_id).unlink(missing_ok=True)
        for participant_id, entry in entries.items():
            write_json(self._file(participant_id), asdict(entry))
        if self._mirror is not None:
            self._mirror.publish_all(last=lambda path: path.name)

    def _file(self, participant_id: str) -> Path:
        return self._folder / f"{participant_id}.json"
