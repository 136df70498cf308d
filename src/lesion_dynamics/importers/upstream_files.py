"""Finding files and making ids in layouts that are not BIDS."""

from __future__ import annotations

import re
from pathlib import Path

from lesion_dynamics.errors import CohortError

_EXTENSIONS = (".nii.gz", ".nii")
_NOT_A_LABEL = re.compile(r"[^0-9a-zA-Z]+", re.ASCII)


def image_file(folder: Path, stem: str) -> Path | None:
    """``folder/stem.nii.gz``, else ``folder/stem.nii``, else None."""
    return next(
        (path for path in (folder / (stem + end) for end in _EXTENSIONS) if path.is_file()), None
    )


def images_of(folder: Path, stems: dict[str, str]) -> dict[str, Path]:
    """File of each sequence that is there. stems : name without extension, by sequence."""
    found = {sequence: image_file(folder, stem) for sequence, stem in stems.items()}
    return {sequence: path for sequence, path in found.items() if path is not None}


def folders_named(root: Path, pattern: re.Pattern[str]) -> list[tuple[Path, re.Match[str]]]:
    """Subfolders whose whole name matches, ordered as people count (P2 before P10)."""
    if not root.is_dir():
        return []
    matched = [(path, pattern.fullmatch(path.name)) for path in root.iterdir() if path.is_dir()]
    found = [(path, match) for path, match in matched if match is not None]
    return sorted(found, key=lambda one: natural_order(one[0].name))


def natural_order(name: str) -> list[tuple[int, str]]:
    """Sorting key that counts: P2 before P10."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def participant_id_of(name: str) -> str:
    """``sub-MS001`` of ``MS_001``: letters and digits of upstream's name, as BIDS wants them."""
    return f"sub-{_label(name)}"


def session_id_of(name: str) -> str:
    """``ses-month06`` of ``month_06``; a bare number gets two digits, ``ses-01`` of ``1``."""
    label = _label(name)
    return f"ses-{int(label):02d}" if label.isdigit() else f"ses-{label}"


def _label(name: str) -> str:
    label = _NOT_A_LABEL.sub("", name)
    if not label:
        raise CohortError(
            "this name has no letter or digit that an id could be made of",
            where=repr(name),
            remedy="Rename it upstream, or give a --case-id pattern with other groups.",
        )
    return label


def not_this_dataset(dataset: str, root: Path, expected: str) -> CohortError:
    """The error about a folder that holds something else."""
    return CohortError(
        f"this is not {dataset} as upstream lays it out: no {expected}",
        where=root,
        remedy="Name the folder that holds it, unpacked and with upstream's names.",
    )
