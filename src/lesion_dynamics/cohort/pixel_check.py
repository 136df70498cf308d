"""Whether the voxels of scans can be read and hold an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lesion_dynamics.cohort.cohort import Exclusion, Scan
from lesion_dynamics.cohort.scan_check import exclusion_of
from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.reading import read_image, read_mask


def unusable_scans(
    scans: Sequence[Scan], *, processes: int, masks_needed: bool = True
) -> list[Exclusion]:
    """Read every file of every scan once; say which scans cannot be used, and why.

    Found here: a truncated or damaged file, NaN or infinite voxels, an image without contrast
    (all zero), a reference mask that is no mask. A scan is named once, for its first fault.

    Parameters
    ----------
    processes : how many scans are read at once, by threads: nearly all of the time goes into
        decompression, which other threads do not wait for.
    masks_needed : whether reference masks are looked at.

    Returns
    -------
    Exclusions in the order of ``scans``; empty when all are usable.
    """
    found = _found(_unusable_images, scans, processes)
    if masks_needed:
        named = {(one.participant_id, one.session_id) for one in found}
        rest = [scan for scan in scans if scan.key not in named]
        found += unusable_masks(rest, processes=processes)
    order = {scan.key: number for number, scan in enumerate(scans)}
    return sorted(found, key=lambda one: order[one.participant_id, one.session_id or ""])


def unusable_masks(scans: Sequence[Scan], *, processes: int) -> list[Exclusion]:
    """Read every reference mask once; say which are no masks, and why.

    Who needs the masks leaves these scans out; who does not goes on without the masks.
    """
    return _found(_unusable_mask, scans, processes)


def _found(
    look: Callable[[Scan], Exclusion | None], scans: Sequence[Scan], processes: int
) -> list[Exclusion]:
    with ThreadPoolExecutor(max_workers=max(1, processes)) as pool:
        found = list(pool.map(look, scans))
    return [exclusion for exclusion in found if exclusion is not None]


def _unusable_mask(scan: Scan) -> Exclusion | None:
    if scan.reference_mask is None:
        return None
    try:
        read_mask(scan.reference_mask)
    except ScanError as error:
        return exclusion_of(scan, error, scan.reference_mask.parent)
    return None


def _unusable_images(scan: Scan) -> Exclusion | None:
    try:
        for file in scan.images.values():
            read_image(file)
    except ScanError as error:
        return exclusion_of(scan, error, _folder_of(scan))
    return None


def _folder_of(scan: Scan) -> Path:
    return scan.images["FLAIR"].parent
