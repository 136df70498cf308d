"""What streaming asks of a layout: which objects are tables, and which belong to whom."""

from __future__ import annotations

import posixpath
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Protocol

from lesion_dynamics.cohort.bids_layout import refuse_unknown_folders
from lesion_dynamics.cohort.cohort import CohortTables
from lesion_dynamics.cohort.manifest_layout import ATTACKS, manifest_file
from lesion_dynamics.cohort.manifest_table import FILES, ManifestRow, read_manifest, refused_cell
from lesion_dynamics.cohort.tables import MISSING
from lesion_dynamics.settings.cohort import CohortSettings
from lesion_dynamics.workflows.objects.mirror import StoredObject
from lesion_dynamics.workflows.objects.staging import NOT_INPUTS

_IMAGES = (".nii", ".nii.gz")
Objects = Mapping[str, StoredObject]
"""By name below the cohort's place in the store."""


class StreamedLayout(Protocol):
    """A layout whose participants' objects are known from names and tables alone."""

    def is_table(self, name: str, cohort: CohortSettings) -> bool:
        """Whether an object is needed before any participant is looked at."""

    def is_in_every_part(self, name: str, cohort: CohortSettings) -> bool:
        """Whether a table must lie beside the scans of every part."""

    def prepare(self, cohort: CohortSettings, there: Objects) -> None:
        """Make of the copy's folder what the layout's tables are read from."""

    def refuse_unknown(self, cohort: CohortSettings, tables: CohortTables) -> None:
        """Raise `CohortError` for scans that no table knows."""

    def by_participant(self, cohort: CohortSettings, there: Objects) -> dict[str, Objects]:
        """The objects that a participant's scans are found in."""

    def said_elsewhere(self, cohort: CohortSettings) -> dict[str, object]:
        """What scans depend on, by participant, and neither tables nor names of objects say."""


class BidsInStore:
    """``sub-X/...``: the folders say what is whose."""

    def is_table(self, name: str, cohort: CohortSettings) -> bool:  # noqa: ARG002
        """``participants.tsv``, ``sub-X/sub-X_sessions.tsv``, ``phenotype/attacks.tsv``."""
        parts = PurePosixPath(name).parts
        return len(parts) <= 2 and parts[0] not in NOT_INPUTS and not name.endswith(_IMAGES)

    def is_in_every_part(self, name: str, cohort: CohortSettings) -> bool:  # noqa: ARG002
        """None: the tables that were read first are enough."""
        return False

    def prepare(self, cohort: CohortSettings, there: Objects) -> None:
        """The folders of participants and sessions, empty, as the layout looks for them."""
        place = cohort.root
        wanted = set()
        for name in there:
            parts = PurePosixPath(name).parts[:-1]
            wanted |= {parts[:n] for n in (1, 2) if len(parts) >= n and parts[0].startswith("sub-")}
        for folder in sorted(place.glob("sub-*/*/")) + sorted(place.glob("sub-*/")):
            if folder.is_dir() and folder.relative_to(place).parts not in wanted:
                shutil.rmtree(folder)
        for parts in sorted(wanted):
            place.joinpath(*parts).mkdir(exist_ok=True)

    def refuse_unknown(self, cohort: CohortSettings, tables: CohortTables) -> None:
        """Folders of participants and sessions without a row."""
        refuse_unknown_folders(cohort.root, tables)

    def by_participant(self, cohort: CohortSettings, there: Objects) -> dict[str, Objects]:  # noqa: ARG002
        """Tables, and what lies in ``anat``."""
        found: dict[str, dict[str, StoredObject]] = defaultdict(dict)
        for name, one in sorted(there.items()):
            parts = PurePosixPath(name).parts
            if (
                parts[0].startswith("sub-")
                and len(parts) > 1
                and (len(parts) < 4 or parts[2] == "anat")
            ):
                found[parts[0]][name] = one
        return dict(found)

    def said_elsewhere(self, cohort: CohortSettings) -> dict[str, object]:  # noqa: ARG002
        """Nothing."""
        return {}


class ManifestInStore:
    """The manifest names the files of every scan."""

    def is_table(self, name: str, cohort: CohortSettings) -> bool:
        """The manifest, and the attacks beside it."""
        folder = posixpath.dirname(cohort.manifest)
        beside = {posixpath.join(folder, attacks) for attacks in ATTACKS}
        return name in beside or self.is_in_every_part(name, cohort)

    def is_in_every_part(self, name: str, cohort: CohortSettings) -> bool:
        """The manifest: scans are found by it."""
        return name == posixpath.normpath(cohort.manifest)

    def prepare(self, cohort: CohortSettings, there: Objects) -> None:
        """Nothing: it has no folders."""

    def refuse_unknown(self, cohort: CohortSettings, tables: CohortTables) -> None:
        """Nothing: what no row names is no scan."""

    def by_participant(self, cohort: CohortSettings, there: Objects) -> dict[str, Objects]:
        """The files of each participant's rows, as far as they are there.

        Raises
        ------
        CohortError : a row names a file that is not below the cohort's place in the store.
        """
        found: dict[str, dict[str, StoredObject]] = defaultdict(dict)
        for row in read_manifest(manifest_file(cohort)):
            for column in FILES:
                name = _name_in_store(row, column, cohort)
                if name is not None and name in there:
                    found[row.key[0]][name] = there[name]
        return dict(found)

    def said_elsewhere(self, cohort: CohortSettings) -> dict[str, object]:
        """The rows: which file is which sequence, and what was done to it."""
        found: dict[str, list[object]] = defaultdict(list)
        for row in read_manifest(manifest_file(cohort)):
            found[row.key[0]].append(dict(row.cells))
        return dict(found)


def _name_in_store(row: ManifestRow, column: str, cohort: CohortSettings) -> str | None:
    cell = row.cells[column]
    if cell in MISSING:
        return None
    name = posixpath.normpath(posixpath.join(posixpath.dirname(cohort.manifest), cell))
    if name.startswith(("/", "../")):
        raise refused_cell(
            row.number,
            column,
            f"{cell} does not lie in the cohort's folder in the store",
            where=manifest_file(cohort),
            remedy="Name files below cohort.root, relative to the manifest.",
        )
    return name


STREAMED: Mapping[str, StreamedLayout] = {"bids": BidsInStore(), "manifest": ManifestInStore()}
