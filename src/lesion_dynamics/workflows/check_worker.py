"""What one process of a check does with a few scans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from lesion_dynamics.cohort.checking.image_record import ImageRecord, records_of, with_voxels
from lesion_dynamics.cohort.cohort import Exclusion, Scan
from lesion_dynamics.cohort.reading import failed, headers_of
from lesion_dynamics.cohort.scan_check import remarks_of
from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.reading import Header, read_header
from lesion_dynamics.settings.cohort import CohortSettings


@dataclass(frozen=True, slots=True)
class CheckedScan:
    """A scan as far as it was read.

    records : of its images; of a scan that is left out, of those whose headers can be read, as
        a finding may say why it is.
    exclusion : why it cannot be used; None: it can.
    """

    scan: Scan
    records: tuple[ImageRecord, ...] = ()
    exclusion: Exclusion | None = None


def check_headers(scans: Sequence[CheckedScan], settings: CohortSettings) -> list[CheckedScan]:
    """Read the headers and sidecars of scans; no voxel."""
    return [_with_headers(one.scan, settings) for one in scans]


def check_voxels(scans: Sequence[CheckedScan], settings: CohortSettings) -> list[CheckedScan]:
    """Read every voxel of scans whose headers can be used."""
    return [_with_voxels(one, settings) for one in scans]


def _with_headers(scan: Scan, settings: CohortSettings) -> CheckedScan:
    try:
        headers = headers_of(scan, settings)
        return CheckedScan(replace(scan, remarks=remarks_of(headers)), records_of(scan, headers))
    except ScanError as error:
        exclusion = failed(scan, error, settings)
        with suppress(ScanError):
            return CheckedScan(scan, records_of(scan, dict(_readable(scan))), exclusion)
        return CheckedScan(scan, exclusion=exclusion)


def _readable(scan: Scan) -> Iterator[tuple[str, Header]]:
    for sequence, path in scan.images.items():
        with suppress(ScanError):
            yield sequence, read_header(path)


def _with_voxels(one: CheckedScan, settings: CohortSettings) -> CheckedScan:
    try:
        return replace(one, records=with_voxels(one.scan, one.records))
    except ScanError as error:
        return replace(one, exclusion=failed(one.scan, error, settings))
