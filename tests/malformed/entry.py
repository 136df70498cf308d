"""What an entry of the corpus is, and the bytes that entries are made of."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.malformed.good_cohort import DAMAGED, image_path

Damage = Callable[[Path], None]


@dataclass(frozen=True)
class Entry:
    """A sound cohort damaged in one place, and what must come of it.

    damage : takes the cohort's folder.
    expected : ``refused`` (the cohort as a whole), ``excluded`` (one scan), ``read`` (odd, but
        sound: nothing is lost and no number changes, unless ``changes`` says so).
    file, says, way_out : the one line must contain these: whose fault, what it is, what to do.
    who : participant and session that are left out.
    cohort : the file of conf/cohort that is used. settings : of the cohort, besides; ``{root}`` is
        its folder.
    unprivileged : to be tried without the right of root to read everything.
    """

    name: str
    damage: Damage
    expected: Literal["refused", "excluded", "read"]
    file: str = "sub-a01_ses-02_FLAIR.nii.gz"
    says: str = ""
    way_out: str = ""
    who: tuple[str, str | None] = DAMAGED
    changes: bool = False
    cohort: str = "study"
    settings: Mapping[str, str] = field(default_factory=dict)
    unprivileged: bool = False


def flair(root: Path) -> Path:
    return image_path(root, DAMAGED, "FLAIR")


def t1w(root: Path) -> Path:
    return image_path(root, DAMAGED, "T1w")


def unpacked(path: Path) -> bytearray:
    return bytearray(gzip.decompress(path.read_bytes()))


def pack(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(bytes(content), compresslevel=1, mtime=0))


def with_fields(*fields: tuple[int, str, tuple[float, ...]], both: bool = False) -> Damage:
    """Overwrite fields of the NIfTI-1 header, given as (offset, struct format, values).

    both : in the T1w too, so that it stays on the FLAIR grid.
    """

    def damage(root: Path) -> None:
        for path in (flair(root), t1w(root)) if both else (flair(root),):
            content = unpacked(path)
            for offset, layout, values in fields:
                struct.pack_into(f"<{layout}", content, offset, *values)
            pack(path, content)

    return damage


def with_bytes(content: bytes) -> Damage:
    """Put other bytes in the place of the FLAIR."""

    def damage(root: Path) -> None:
        flair(root).write_bytes(content)

    return damage


def changed(change: Callable[[Path], None]) -> Damage:
    """Do something to the path of the FLAIR."""
    return lambda root: change(flair(root))
