"""Whether the voxels of scans can be read and hold an image."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lesion_dynamics.cohort.cohort import Exclusion, Scan
from lesion_dynamics.cohort.scan_check import exclusion_of
from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.reading import read_image, read_mask


def unusable_scans(scans: Sequence[Scan], *, processes: int) -> list[Exclusion]:
    """Read every file of every scan once; say which scans cannot be used, and why.

    Found here: a truncated or damaged file, NaN or infinite voxels, an image without contrast
    (all zero), a reference mask that is no mask. A scan is named once, for its first fault.
    Who needs no masks hands scans without them over.

    Parameters
    ----------
    processes : how many scans are read at once, by threads: nearly all of the time goes into
        decompression, which other threads do not wait for.

    Returns
    -------
    Exclusions in the order of ``scans``; empty when all are usable.
    """
    with ThreadPoolExecutor(max_workers=max(1, processes)) as pool:
        found = list(pool.map(_unusable, scans))
    return [exclusion for exclusion in found if exclusion is not None]


def _unusable(scan: Scan) -> Exclusion | None:
    try:
        for file in scan.images.values():
            read_image(file)
        if scan.reference_mask is not None:
            read_mask(scan.reference_mask)
    except ScanError as error:
        return exclusion_of(scan, error, _folder_of(scan))
    return None


def _folder_of(scan: Scan) -> Path:
    return scan.images["FLAIR"].parent
