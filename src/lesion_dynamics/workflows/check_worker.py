"""What one process of a check does with a few scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lesion_dynamics.cohort.checking.image_record import ImageRecord, records_of, with_voxels
from lesion_dynamics.cohort.cohort import Exclusion, Scan
from lesion_dynamics.cohort.reading import failed, headers_of
from lesion_dynamics.cohort.scan_check import remarks_of
from lesion_dynamics.errors import ScanError
from lesion_dynamics.settings.cohort import CohortSettings


@dataclass(frozen=True, slots=True)
class Usable:
    """A scan that can be used as far as it was read, and the records of its images."""

    scan: Scan
    records: tuple[ImageRecord, ...] = ()


ScanCheck = Usable | Exclusion


def check_headers(scans: Sequence[Usable], settings: CohortSettings) -> list[ScanCheck]:
    """Read the headers and sidecars of scans; no voxel."""
    return [_with_headers(one.scan, settings) for one in scans]


def check_voxels(scans: Sequence[Usable], settings: CohortSettings) -> list[ScanCheck]:
    """Read every voxel of scans whose headers were read."""
    return [_with_voxels(one, settings) for one in scans]


def _with_headers(scan: Scan, settings: CohortSettings) -> ScanCheck:
    try:
        headers = headers_of(scan, settings)
        return Usable(replace(scan, remarks=remarks_of(headers)), records_of(scan, headers))
    except ScanError as error:
        return failed(scan, error, settings)


def _with_voxels(one: Usable, settings: CohortSettings) -> ScanCheck:
    try:
        return replace(one, records=with_voxels(one.scan, one.records))
    except ScanError as error:
        return failed(one.scan, error, settings)
