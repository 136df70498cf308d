"""A scan that is ready for the network, with the transforms that lead home."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image


@dataclass(frozen=True, slots=True)
class PreparedSequence:
    """One sequence on its own native grid, bias field out.

    to_flair : (4, 4), this sequence's world (RAS+ mm) to the FLAIR's world.
    log_bias_field : logarithm of the field that was divided out, on a coarse grid in this
        sequence's world; None where nothing was.
    """

    image: Image
    to_flair: Affine
    log_bias_field: Image | None = None


@dataclass(frozen=True, slots=True)
class PreparedScan:
    """All sequences of one scan; nothing is resampled yet.

    sequences : by name; FLAIR always is there, with the identity as `to_flair`.
    brain_mask : uint8 on the native FLAIR grid.
    to_participant : (4, 4), the FLAIR's world to the participant's space (RAS+ mm).
    alignment_inconsistency_mm : how far registering this session's FLAIR to another's and back
        misses the start (root mean square in the head); the median over the other sessions. NaN
        where sessions were not registered.
    """

    sequences: Mapping[str, PreparedSequence]
    brain_mask: Image
    to_participant: Affine
    alignment_inconsistency_mm: float = math.nan
