"""A finding: what is doubtful, how much it matters, the way out. docs/check.md explains each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["error", "warning", "note"]
"""error: numbers will be wrong; warning: they may be; note: to be known."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

KINDS: Mapping[str, tuple[Severity, str]] = {
    "left-right-disagrees": (
        "error", "Find out which side is left, and write one orientation (fslorient, 3dinfo)."),
    "left-right-unknown": (
        "warning", "Export the scan again with its orientation (dcm2niix keeps it)."),
    "sform-qform-disagree": (
        "warning", "Decide which is right and copy it to the other (fslorient -copysform2qform)."),
    "qform-damaged": ("note", "Write the header again (fslorient -copysform2qform)."),
    "axes-not-perpendicular": (
        "warning", "Resample the image to a rigid grid, or export it without shear."),
    "units-not-mm": ("error", "Correct the header's unit (xyzt_units); lengths must be mm."),
    "pixdim-disagrees": (
        "warning", "Find out which voxel size is true; volumes follow the affine."),
    "few-grey-levels": ("warning", "Export the scan with its full range of intensities."),
    "not-an-intensity-image": ("warning", "Put the image itself in its place."),
    "field-of-view-small": ("warning", "Look at the image: the brain may be cut off."),
    "field-of-view-large": ("warning", "Look at the voxel sizes: units or header may be wrong."),
    "orientation-changes": ("note", "Look at left and right of both images."),
    "same-image": ("error", "Put the right image in place of the copy."),
    "perhaps-same-image": ("note", "Check with pixels=true: only voxels tell."),
    "sex-differs": ("error", "Find out whose scans these are, then correct the table."),
    "age-differs": ("warning", "Find out whose scans these are, or correct age or days."),
    "age-implausible": ("warning", "Correct the age, or write n/a."),
    "days-same": ("warning", "Correct days_from_baseline, or leave one of the two out."),
    "days-out-of-order": ("warning", "Correct days_from_baseline, or rename the sessions."),
    "days-implausible": ("error", "Write days since the first scan, not dates or years."),
    "baseline-not-first": ("note", "Nothing, if baseline is meant to be another day."),
    "scanner-changes": (
        "warning", "Nothing to mend; analyze.py shows the same-scanner answer beside the other."),
    "voxel-sizes-change": (
        "warning", "Prefer the acquisition that all sessions have (cohort.prefer)."),
    "several-candidates": ("note", "Nothing, if the choice is right; else set cohort.prefer."),
    "attack-date-unknown": ("note", "Find the date: without it no interval counts as remission."),
    "attacks-not-recorded": (
        "note", "Write the table of attacks; without it no interval counts as remission."),
}  # fmt: skip
"""Severity and way out of every kind of finding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One doubt.

    kind : one of `KINDS`. participant_id, session_id : "" where it concerns more than one.
    file : the file concerned, or None. what : one sentence, without the final full stop.
    """

    kind: str
    participant_id: str
    session_id: str
    what: str
    file: Path | None = None

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return KINDS[self.kind][0]

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return KINDS[self.kind][1]


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Worst first, then by kind, participant and session."""
    kinds = list(KINDS)

    def key(finding: Finding) -> tuple[int, int, str, str, str]:
        return (
            SEVERITIES.index(finding.severity), kinds.index(finding.kind),
            finding.participant_id, finding.session_id, str(finding.file or ""),
        )  # fmt: skip

    return sorted(findings, key=key)
