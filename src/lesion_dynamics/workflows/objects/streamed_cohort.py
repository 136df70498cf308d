"""A cohort in an object store: its tables here, its scans fetched in parts.

Many inferences may share a cache folder: parts of one cohort, several model versions. Tables are
shared and changed by one at a time; scans lie in a folder of each inference's own.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lesion_dynamics.atomic_files import hash_of_content, hash_of_file
from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.cohort.parts import tables_of_part
from lesion_dynamics.cohort.reading import read_tables
from lesion_dynamics.errors import CohortError
from lesion_dynamics.model_version import ModelVersion
from lesion_dynamics.process_folder import process_folder
from lesion_dynamics.records.derivatives import scan_key
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.source_hash import hash_of_source
from lesion_dynamics.workflows.inference_quality import QUALITY_SOURCE
from lesion_dynamics.workflows.objects.mirror import Mirror, is_remote, url_of
from lesion_dynamics.workflows.objects.staging import place_of, sole_change
from lesion_dynamics.workflows.objects.streamed_layouts import STREAMED, Objects

_SOURCE = ("cohort", "workflows/objects")


def is_streamed(settings: InferSettings) -> bool:
    """Whether the cohort lies in a store and in a layout whose participants are known by name."""
    return is_remote(settings.cohort.root) and settings.cohort.layout in STREAMED


@dataclass(frozen=True)
class StreamedCohort:
    """A cohort whose tables are here and whose scans are not.

    settings : with the folder of the tables as root. objects : of each participant.
    in_every_part : tables without which no scan is found. elsewhere : what scans depend on beside
    them, by participant.
    """

    url: str
    settings: InferSettings
    tables: CohortTables
    objects: Mapping[str, Objects]
    in_every_part: Objects
    elsewhere: Mapping[str, object]

    @classmethod
    def opened(cls, settings: InferSettings) -> StreamedCohort:
        """Fetch the tables, list the scans.

        Raises
        ------
        UserError : the store cannot be read; a table is missing or wrong; a folder that no table
            knows.
        """
        root = settings.cohort.root
        url, place = url_of(root), place_of(root, settings)
        there = Mirror(url, place).listing()
        if not there:
            raise CohortError(
                "there is no cohort folder: the store has no object below this address",
                where=url,
                remedy="Set cohort.root to the folder that holds the cohort.",
            )
        cohort = settings.cohort.model_copy(update={"root": place})
        layout = STREAMED[cohort.layout]
        with sole_change(place, waiting_for=f"it fetches the tables of {url}"):
            place.mkdir(parents=True, exist_ok=True)
            layout.prepare(cohort, there)
            wanted = {n: one.mark for n, one in there.items() if layout.is_table(n, cohort)}
            Mirror(url, place).hold(wanted)
            tables = read_tables(cohort)
            layout.refuse_unknown(cohort, tables)
            return cls(
                url,
                settings.model_copy(update={"cohort": cohort}),
                tables_of_part(tables, settings.part_numbers, where=url),
                layout.by_participant(cohort, there),
                {n: one for n, one in there.items() if layout.is_in_every_part(n, cohort)},
                layout.said_elsewhere(cohort),
            )

    def fetch(self, part: Sequence[str], folder: Path) -> Path:
        """The scans of some participants, laid out in ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        Mirror(self.url, folder).hold(self._wanted(part))
        return folder

    def require_whole(self, part: Sequence[str], folder: Path) -> None:
        """Raise `CohortError` unless all that was fetched for a part is in ``folder`` still.

        A session without its FLAIR counts as one that never had it and is no failure, so that
        files which vanish must be told from files which never were.
        """
        gone = sorted(name for name in self._wanted(part) if not (folder / name).is_file())
        if gone:
            raise CohortError(
                f"{len(gone)} file(s) fetched from {self.url} have vanished while in use; the "
                f"first: {gone[0]}",
                where=folder,
                remedy="Let nothing else remove files below cache.folder, and start the same "
                "command again: what is done is kept.",
            )

    def _wanted(self, part: Sequence[str]) -> dict[str, str]:
        """The marks of a part's objects."""
        own = [self.in_every_part, *(self.objects.get(who, {}) for who in part)]
        return {name: one.mark for objects in own for name, one in objects.items()}

    def keys(self, version: ModelVersion) -> dict[str, str]:
        """Of every participant a hash of all that its rows and files depend on.

        No byte of an image is needed: the store's marks stand for the objects.
        """
        cohort = self.settings.cohort
        coefficients = cohort.distortion.gradient_coefficients
        shared = hash_of_content(
            {
                "source": hash_of_source(*_SOURCE),
                "quality": hash_of_source(*QUALITY_SOURCE),
                "version": scan_key({}, version),
                "cohort": cohort.model_dump(mode="json", exclude={"root", "truth", "name"}),
                "coefficients": {n: hash_of_file(path) for n, path in coefficients.items()},
                "mni": self.settings.mni,
            }
        )
        rows: dict[str, list[str]] = defaultdict(list)
        for table in (self.tables.participants, self.tables.sessions):
            names = list(table.columns)
            for row in table.itertuples(index=False):
                said = dict(zip(names, map(str, row), strict=True))
                rows[said["participant_id"]].append(hash_of_content(said))
        return {
            who: hash_of_content(
                {
                    "shared": shared,
                    "tables": own,
                    "elsewhere": self.elsewhere.get(who),
                    "objects": {n: o.mark for n, o in self.objects.get(who, {}).items()},
                }
            )
            for who, own in rows.items()
        }

    def parts(self, due: Sequence[str]) -> Generator[tuple[list[str], Path]]:
        """Participants whose scans are here, the next ones' on their way; gone afterwards."""
        settings = self.settings
        tables = settings.cohort.root
        parts = list(_cut(due, self.objects, limit=int(settings.cache.objects_gb * 1e9 / 2)))
        with (
            process_folder(tables.parent, f"{tables.name}.parts") as place,
            ThreadPoolExecutor(1) as ahead,
        ):
            coming = [ahead.submit(self.fetch, part, place / "0") for part in parts[:1]]
            for number, part in enumerate(parts):
                root = coming.pop().result()
                if number + 1 < len(parts):
                    folder = place / str(number + 1)
                    coming.append(ahead.submit(self.fetch, parts[number + 1], folder))
                yield part, root
                shutil.rmtree(root)


def _cut(due: Sequence[str], objects: Mapping[str, Objects], *, limit: int) -> Iterator[list[str]]:
    """Participants in order, in parts of at most ``limit`` bytes of scans, but one at least."""
    part: list[str] = []
    held = 0
    for who in due:
        size = sum(one.size for one in objects.get(who, {}).values())
        if part and held + size > limit:
            yield part
            part, held = [], 0
        part.append(who)
        held += size
    if part:
        yield part
