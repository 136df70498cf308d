"""Whether a scan's files can belong together. Headers only; no voxel is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lesion_dynamics.cohort.cohort import Exclusion, Scan
from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.geometry import largest_corner_distance_mm, same_grid
from lesion_dynamics.imaging.reading import Header, read_header

_RESAMPLE_SEQUENCE = "Resample it to the FLAIR, or say cohort.prepared.sequences_aligned=false."
_RESAMPLE_MASK = "Resample it to the FLAIR (nearest neighbour), or draw it anew there."


def usable_headers(scan: Scan, *, sequences_aligned: bool) -> dict[str, Header]:
    """Check every sequence of a scan by its header; the headers, by sequence.

    Where the cohort says that sequences are aligned, each must be on the FLAIR grid.

    Raises
    ------
    ScanError : an unreadable header, or a file that is not on the FLAIR grid.
    """
    headers = {name: read_header(file) for name, file in scan.images.items()}
    flair = headers["FLAIR"]
    if sequences_aligned:
        for sequence, header in headers.items():
            _require_flair_grid(sequence, header, flair, _RESAMPLE_SEQUENCE)
    return headers


def require_usable_mask_header(scan: Scan, flair: Header) -> None:
    """Check the reference mask of a scan, if it has one, by its header.

    Raises
    ------
    ScanError : an unreadable header, or a mask that is not on the FLAIR grid.
    """
    if scan.reference_mask is not None:
        mask = read_header(scan.reference_mask)
        _require_flair_grid("the reference mask", mask, flair, _RESAMPLE_MASK)


def remarks_of(headers: Mapping[str, Header]) -> tuple[str, ...]:
    """Doubts about headers that stop nothing, each with its sequence."""
    return tuple(f"{name}: {remark}" for name, one in headers.items() for remark in one.remarks)


def _require_flair_grid(name: str, header: Header, flair: Header, remedy: str) -> None:
    if same_grid(header.shape, header.affine, flair.shape, flair.affine):
        return
    raise ScanError(
        f"{name} is not on the FLAIR grid: {_difference(header, flair)}",
        where=header.path,
        remedy=remedy,
    )


def _difference(header: Header, flair: Header) -> str:
    if header.shape != flair.shape:
        return f"{_described(header.shape)} voxels, the FLAIR has {_described(flair.shape)}"
    distance = largest_corner_distance_mm(flair.shape, header.affine, flair.affine)
    return f"same number of voxels, but its corners lie up to {distance:.3g} mm off"


def _described(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)


def exclusion_of(scan: Scan, error: ScanError, root: Path) -> Exclusion:
    """The exclusion of a scan whose files are wrong: the file, relative to the cohort, and why."""
    file = Path(error.where)
    shown = file.relative_to(root) if file.is_relative_to(root) else file
    return Exclusion(*scan.key, f"{shown}: {error.what}", failed=True, remedy=error.remedy)
