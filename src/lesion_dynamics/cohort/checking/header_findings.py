"""Doubts about single headers: orientation, units, voxel sizes, intensities, field of view."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from lesion_dynamics.cohort.checking.finding import Finding
from lesion_dynamics.cohort.checking.image_record import ImageRecord
from lesion_dynamics.imaging.geometry import Affine, largest_corner_distance_mm

_FORM_DISAGREEMENT_MM = 0.5
_LARGEST_COSINE = 1e-3
_PIXDIM_DISAGREEMENT = 0.01
_FEW_LEVELS = ("uint8", "int8", "bool")
# Ordered from the shortest side. Adult cerebrum with cerebellum: about 125 x 140 x 170 mm.
_SMALLEST_EXTENT_MM = (100.0, 110.0, 130.0)
_LARGEST_EXTENT_MM = 450.0


def header_findings(records: Iterable[ImageRecord]) -> Iterator[Finding]:
    """Findings about each file by itself."""
    for record in records:
        for kind, what in _about(record):
            yield Finding(
                kind, record.participant_id, record.session_id, f"{record.sequence}: {what}",
                record.path,
            )  # fmt: skip


def _about(record: ImageRecord) -> Iterator[tuple[str, str]]:
    yield from _orientation(record)
    yield from _lengths(record)
    stored = record.stored
    if stored.data_type in _FEW_LEVELS:
        yield "few-grey-levels", f"stored as {stored.data_type}: at most 256 grey levels"
    if stored.intent_code:
        yield (
            "not-an-intensity-image",
            f"the header says that this is a statistic, label or vector map"
            f" (intent {stored.intent_code})",
        )


def _orientation(record: ImageRecord) -> Iterator[tuple[str, str]]:
    stored = record.stored
    if stored.qform_damaged:
        yield "qform-damaged", "the qform is no rotation; the rest of the header is used"
    if stored.sform is None and stored.qform is None:
        yield "left-right-unknown", "the header has no orientation: left and right are a guess"
    if stored.sform is not None and stored.qform is not None:
        distance = largest_corner_distance_mm(record.header.shape, stored.sform, stored.qform)
        if _handedness(stored.sform) != _handedness(stored.qform):
            yield (
                "left-right-disagrees",
                "sform and qform put left on opposite sides; sform is used",
            )
        elif distance > _FORM_DISAGREEMENT_MM:
            yield (
                "sform-qform-disagree",
                f"sform and qform differ by up to {distance:.1f} mm; sform is used",
            )
    directions = record.header.affine[:3, :3] / np.array(record.voxel_sizes_mm)
    cosine = float(np.abs(directions.T @ directions - np.eye(3)).max())
    if cosine > _LARGEST_COSINE:
        degrees = np.degrees(np.arcsin(min(cosine, 1.0)))
        yield "axes-not-perpendicular", f"the voxel axes are {degrees:.2g} degrees off square"


def _lengths(record: ImageRecord) -> Iterator[tuple[str, str]]:
    stored = record.stored
    if stored.length_unit not in ("mm", "unknown"):
        yield "units-not-mm", f"the header gives its lengths in {stored.length_unit}"
    sizes = record.voxel_sizes_mm
    ratios = [abs(abs(said) / used - 1) for said, used in zip(stored.pixdim_mm, sizes, strict=True)]
    if not max(ratios) <= _PIXDIM_DISAGREEMENT:
        yield (
            "pixdim-disagrees",
            f"voxels of {_by(sizes)} mm by the affine, {_by(stored.pixdim_mm)} mm by pixdim",
        )
    extent = sorted(record.extent_mm)
    if any(side < least for side, least in zip(extent, _SMALLEST_EXTENT_MM, strict=True)):
        yield "field-of-view-small", f"the image covers {_by(record.extent_mm)} mm"
    if extent[-1] > _LARGEST_EXTENT_MM:
        yield "field-of-view-large", f"the image covers {_by(record.extent_mm)} mm"


def _handedness(affine: Affine) -> bool:
    return bool(np.linalg.det(affine[:3, :3]) > 0)


def _by(lengths: Iterable[float]) -> str:
    return " x ".join(f"{length:.3g}" for length in lengths)
