"""All that is known of one image file without its voxels; of its voxels, a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lesion_dynamics.cohort.checking.sidecar import Sidecar, read_sidecar
from lesion_dynamics.cohort.cohort import Scan
from lesion_dynamics.imaging.geometry import voxel_sizes_mm
from lesion_dynamics.imaging.reading import Header, read_image, read_mask
from lesion_dynamics.imaging.stored_header import StoredHeader, read_stored_header


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One file of one scan.

    header : as it is used. stored : as it was written. sidecar : the JSON beside it.
    voxel_digest : equal for images of equal shape and intensities; "" where voxels were not read.
    """

    participant_id: str
    session_id: str
    sequence: str
    header: Header
    stored: StoredHeader
    sidecar: Sidecar
    voxel_digest: str = ""

    @property
    def path(self) -> Path:
        """The file."""
        return self.header.path

    @property
    def voxel_sizes_mm(self) -> tuple[float, float, float]:
        """Voxel edges in mm."""
        return voxel_sizes_mm(self.header.affine)

    @property
    def extent_mm(self) -> tuple[float, float, float]:
        """Size of the whole image in mm."""
        sizes, shape = self.voxel_sizes_mm, self.header.shape
        return (sizes[0] * shape[0], sizes[1] * shape[1], sizes[2] * shape[2])

    @property
    def name(self) -> str:
        """``sub-01 ses-01 FLAIR``, for messages."""
        return f"{self.participant_id} {self.session_id} {self.sequence}"


def records_of(scan: Scan, headers: Mapping[str, Header]) -> tuple[ImageRecord, ...]:
    """Records of a scan's images from those of their headers that were read, and their sidecars.

    Raises
    ------
    ScanError : a file that is no NIfTI any more.
    """
    return tuple(
        ImageRecord(
            participant_id=scan.participant_id,
            session_id=scan.session_id,
            sequence=sequence,
            header=headers[sequence],
            stored=read_stored_header(path),
            sidecar=read_sidecar(path),
        )
        for sequence, path in scan.images.items()
        if sequence in headers
    )


def with_voxels(scan: Scan, records: tuple[ImageRecord, ...]) -> tuple[ImageRecord, ...]:
    """Read every voxel of a scan, its reference mask's too; the records with their digests.

    Raises
    ------
    ScanError : as :func:`~lesion_dynamics.imaging.reading.read_image` and ``read_mask``.
    """
    found = []
    for record in records:
        voxels = read_image(record.path).voxels
        digest = hashlib.blake2b(repr(voxels.shape).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(voxels + np.float32(0)).data)  # -0 is 0
        found.append(replace(record, voxel_digest=digest.hexdigest()))
    if scan.reference_mask is not None:
        read_mask(scan.reference_mask)
    return tuple(found)
