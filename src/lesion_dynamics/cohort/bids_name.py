"""BIDS file names: parsed into entities and built from entities, never string-replaced.

Entity order and allowed characters: BIDS 1.10, "Filesystem structure" and the entity table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lesion_dynamics.errors import CohortError

ENTITY_ORDER = (
    "sub", "tpl", "ses", "cohort", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce",
    "trc", "stain", "rec", "dir", "run", "mod", "echo", "flip", "inv", "mt", "part", "proc",
    "hemi", "space", "split", "recording", "chunk", "seg", "scale", "res", "den", "label", "desc",
)  # fmt: skip
"""Every entity, in the order in which BIDS writes them."""

_ALPHANUMERIC = re.compile(r"[0-9a-zA-Z]+", re.ASCII)
_LONGEST_ID = 64  # file names hold two ids and more in 255 bytes
_EXTENSION = re.compile(r"(\.[0-9a-zA-Z]+)+", re.ASCII)


@dataclass(frozen=True, slots=True)
class BidsName:
    """One BIDS file name.

    entities : value of each entity by its key, in any order: ``{"sub": "ms01", "ses": "01"}``.
    suffix : ``FLAIR``, ``mask``, ``probseg``...
    extension : with its dot, ``.nii.gz``.

    Raises
    ------
    CohortError : an unknown entity, no ``sub``, or a value that is not alphanumeric.
    """

    entities: Mapping[str, str]
    suffix: str
    extension: str

    def __post_init__(self) -> None:
        for key, value in self.entities.items():
            if key not in ENTITY_ORDER:
                raise _refused(f"{key}-{value}", f"{key} is not a BIDS entity")
            if not _ALPHANUMERIC.fullmatch(value):
                raise _refused(f"{key}-{value}", f"the value of {key} must be letters and digits")
        if "sub" not in self.entities:
            raise _refused(f"{self.suffix}{self.extension}", "the name has no participant (sub-)")
        if not _ALPHANUMERIC.fullmatch(self.suffix):
            raise _refused(self.suffix, "the suffix must be letters and digits")
        if not _EXTENSION.fullmatch(self.extension):
            raise _refused(self.extension, "this is no file extension")
        # One order, whatever order the caller used: equal names compare equal.
        ordered = {key: self.entities[key] for key in ENTITY_ORDER if key in self.entities}
        object.__setattr__(self, "entities", ordered)

    def __hash__(self) -> int:
        return hash(self.filename)

    @classmethod
    def parse(cls, filename: str) -> BidsName:
        """Parse a file name without its folder.

        Raises
        ------
        CohortError : not a BIDS name.
        """
        stem, dot, extension = filename.partition(".")
        *parts, suffix = stem.split("_")
        entities: dict[str, str] = {}
        for part in parts:
            key, dash, value = part.partition("-")
            if not dash or key in entities:
                raise _refused(filename, f"{part!r} is not an entity of its own")
            entities[key] = value
        return cls(entities, suffix, dot + extension)

    @classmethod
    def of_scan(
        cls, participant_id: str, session_id: str, *, suffix: str, extension: str = ".nii.gz"
    ) -> BidsName:
        """Name of a file of one scan, from its prefixed ids (``sub-ms01``, ``ses-01``).

        Raises
        ------
        CohortError : an id that is not a BIDS id.
        """
        entities = {"sub": label_of(participant_id, "sub"), "ses": label_of(session_id, "ses")}
        return cls(entities, suffix, extension)

    @property
    def filename(self) -> str:
        """``sub-ms01_ses-01_label-L_mask.nii.gz``."""
        parts = [f"{key}-{value}" for key, value in self.entities.items()]
        return "_".join([*parts, self.suffix]) + self.extension

    @property
    def folder(self) -> PurePosixPath:
        """Folder of an anatomical file below the root: ``sub-ms01/ses-01/anat``."""
        levels = [f"{key}-{self.entities[key]}" for key in ("sub", "ses") if key in self.entities]
        return PurePosixPath(*levels, "anat")

    def path_under(self, root: Path) -> Path:
        """Path of the anatomical file below ``root``."""
        return root / self.folder / self.filename

    def having(
        self, entities: Mapping[str, str], *, suffix: str, extension: str | None = None
    ) -> BidsName:
        """Name of a derivative: some entities added, another suffix."""
        merged = {**self.entities, **entities}
        return BidsName(merged, suffix, self.extension if extension is None else extension)


def label_of(identifier: str, entity: str) -> str:
    """``ms01`` of ``sub-ms01``.

    Raises
    ------
    CohortError : no such prefix, too long, or a label that is not letters and digits. An id
        with a slash or dots would name a file outside the cohort's folder.
    """
    prefix = f"{entity}-"
    label = identifier.removeprefix(prefix)
    if len(identifier) > _LONGEST_ID:
        raise _refused(identifier, f"not a usable id: longer than {_LONGEST_ID} characters")
    if not identifier.startswith(prefix) or not _ALPHANUMERIC.fullmatch(label):
        raise _refused(identifier, f"not a BIDS id: {prefix} and letters and digits, nothing else")
    return label


def _refused(where: str, what: str) -> CohortError:
    return CohortError(
        what,
        where=ascii(where),
        remedy="Rename it as BIDS does, for example sub-01_ses-01_FLAIR.nii.gz.",
    )
