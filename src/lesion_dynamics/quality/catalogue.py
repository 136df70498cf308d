"""What each column of quality.tsv is, in which unit, and which side of it is bad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Bad = Literal["low", "high", "either"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One column.

    unit : as BIDS writes units; "" for a number without one.
    bad : the side on which a scan is flagged against the cohort.
    smallest_scale : differences from the cohort's median are never judged in finer steps than
        this, in the column's own unit; a cohort of near-identical scans flags no rounding.
    """

    name: str
    unit: str
    bad: Bad
    smallest_scale: float
    description: str


_OF_SCAN = (
    Measure("brain_volume_mm3", "mm3", "either", 20_000.0, "Volume of the brain mask"),
    Measure(
        "brain_at_edge_mm2", "mm2", "high", 100.0,
        "Area of the brain mask on the faces of the image: the field of view cuts the brain",
    ),
    Measure("voxel_anisotropy", "", "high", 0.2, "Longest over shortest voxel edge of the FLAIR"),
    Measure(
        "brain_overlap_dice", "", "low", 0.005,
        "Dice of the brain mask with those of the other sessions in participant space; median",
    ),
    Measure(
        "alignment_residual_z", "z", "high", 0.02,
        "Median absolute difference of normalised FLAIRs inside the brain; median over the "
        "other sessions",
    ),
    Measure(
        "alignment_inconsistency_mm", "mm", "high", 0.1,
        "How far registering to another session and back misses the start, root mean square in "
        "the head; median over the other sessions",
    ),
)  # fmt: skip

_OF_SEQUENCE = (
    Measure("signal_to_noise", "", "low", 1.0, "Median in the brain over the noise (Immerkaer)"),
    Measure(
        "fluid_contrast_to_noise", "", "low", 0.5, "Tissue against fluid, in units of the noise"
    ),
    Measure(
        "grey_white_contrast_to_noise", "", "low", 0.2,
        "Grey against white matter, in units of the noise",
    ),
    Measure(
        "bias_field_range_percent", "percent", "high", 5.0,
        "Brightest over darkest part of the brain in N4's field (2nd to 98th percentile), less 1",
    ),
    Measure(
        "ringing_percent", "percent", "high", 0.3,
        "Amplitude of the strongest ripple inside the brain, of the brain's median",
    ),
    Measure(
        "ghosting_percent", "percent", "high", 0.5,
        "Signal in the air beside the head above that of the other air, of the brain's median",
    ),
    Measure(
        "missing_slices", "", "high", 0.5,
        "Slices within the image that are constant or repeat their neighbour",
    ),
)  # fmt: skip


def measures_of(sequences: tuple[str, ...]) -> tuple[Measure, ...]:
    """All columns of a cohort with these sequences, in the order of the table."""
    of_sequences = tuple(
        Measure(
            f"{sequence.lower()}_{measure.name}",
            measure.unit,
            measure.bad,
            measure.smallest_scale,
            f"{sequence}: {measure.description[:1].lower()}{measure.description[1:]}",
        )
        for sequence in sequences
        for measure in _OF_SEQUENCE
    )
    return _OF_SCAN + of_sequences
